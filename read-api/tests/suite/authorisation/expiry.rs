//! A stream, and a request that waits, end when their token expires.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use futures_util::future::try_join_all;
use reqwest::{Response, StatusCode};
use testkit::test_database::TestDatabase;
use testkit::tokens::Role;
use testkit::wait;
use uuid::Uuid;

use super::Guarded;
use crate::support::{Events, change, insert};

/// Only ends a hang.
const A_LONG_TIME: Duration = Duration::from_secs(30);

const LEEWAY: (&str, &str) = ("AUTH_LEEWAY_S", "0");

async fn open(api: &Guarded, token: &str) -> Result<Response> {
    let url = format!("{}/customers/alice/orders/stream", api.replica.url);
    Ok(reqwest::Client::new().get(url).bearer_auth(token).send().await?)
}

/// A token of this role that is valid long enough to use it, for five to six seconds, and when it expires.
fn short(api: &Guarded, role: Role<'_>) -> Result<(String, DateTime<Utc>)> {
    // Tokens expire at a whole second.
    let expires = Utc::now().duration_trunc(TimeDelta::seconds(1))? + TimeDelta::seconds(6);
    Ok((api.issuer.token_of_until(role, expires)?, expires))
}

#[tokio::test]
async fn a_stream_ends_after_a_whole_event_when_its_token_expires() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    insert(&session, &[(1, "alice", 0)]).await?;
    let api = Guarded::start(&database.url("orders_read_api"), &[LEEWAY])?;
    api.replica.until_ready_is(StatusCode::OK).await?;
    for role in [Role::Customer("alice"), Role::Dashboard] {
        let (token, expires) = short(&api, role)?;
        let mut events = Events::new(open(&api, &token).await?.error_for_status()?);
        assert_eq!(events.next().await?.context("ended")?.name, "snapshot");
        change(&session, 1, 1).await?;
        events.next_order().await?;
        let end = async {
            // An end without the last chunk would be an error.
            while events.next().await?.is_some() {}
            anyhow::Ok(())
        };
        tokio::time::timeout(A_LONG_TIME, end).await.context("the stream goes on")??;
        let late = Utc::now() - expires;
        assert!(late >= TimeDelta::zero() && late < TimeDelta::seconds(5), "{role:?}: {late}");
        assert_eq!(events.rest(), "");
        assert_eq!(open(&api, &token).await?.status(), StatusCode::UNAUTHORIZED);
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_waits_for_a_version_ends_when_its_token_expires() -> Result<()> {
    let database = TestDatabase::create().await?;
    let api = Guarded::start(&database.url("orders_read_api"), &[LEEWAY])?;
    api.replica.until_ready_is(StatusCode::OK).await?;
    for role in [Role::Customer("alice"), Role::Dashboard] {
        let (token, expires) = short(&api, role)?;
        let start = Instant::now();
        let id = Uuid::from_u128(1);
        let paths = [format!("/orders/{id}?min_version=1"), format!("/customers/alice/orders?after={id}:1")];
        let all = matches!(role, Role::Dashboard).then(|| format!("/orders?after={id}:1"));
        let requests = paths.into_iter().chain(all).map(|path| {
            let request = reqwest::Client::new().get(format!("{}{path}", api.replica.url));
            request.bearer_auth(&token).header("prefer", "wait=10").send()
        });
        for response in try_join_all(requests).await? {
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{}", response.url());
            assert!(response.text().await?.contains("/problems/projection-behind"));
        }
        assert!(Utc::now() >= expires && start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_whose_token_has_expired_makes_room_for_another() -> Result<()> {
    let database = TestDatabase::create().await?;
    // A quarter of the connections is for streams, and half of these is for one subject.
    let api = Guarded::start(&database.url("orders_read_api"), &[LEEWAY, ("HTTP_MAX_CONNECTIONS", "256")])?;
    api.replica.until_ready_is(StatusCode::OK).await?;
    let lasting = api.token_of(Role::Support)?;
    let (of_alice, expires) = short(&api, Role::Customer("alice"))?;
    let (of_dashboard, _) = short(&api, Role::Dashboard)?;
    let opening = (0..33).flat_map(|_| [open(&api, &of_alice), open(&api, &of_dashboard)]);
    let streams = try_join_all(opening).await?;
    let with = |status| streams.iter().filter(|stream| stream.status() == status).count();
    assert_eq!([StatusCode::OK, StatusCode::TOO_MANY_REQUESTS].map(with), [64, 2]);
    assert_eq!(open(&api, &lasting).await?.status(), StatusCode::SERVICE_UNAVAILABLE);
    wait::until("room for a stream", A_LONG_TIME, || async {
        let status = open(&api, &lasting).await.map_err(|error| error.to_string())?.status();
        if status == StatusCode::OK { Ok(()) } else { Err(status.to_string()) }
    })
    .await?;
    assert!(Utc::now() >= expires);
    drop(streams);
    Ok(())
}
