//! With few connections, a service has fewer streams and waits than its variables say.

use anyhow::{Context, Result};
use reqwest::StatusCode;
use testkit::test_database::TestDatabase;
use testkit::tokens::Role;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Guarded;

/// A quarter of the fewest connections may be streams, and a quarter may wait.
const HALF: usize = 256 / 4 / 2;

async fn start(database: &TestDatabase) -> Result<Guarded> {
    let api = Guarded::start(&database.url("orders_read_api"), &[("HTTP_MAX_CONNECTIONS", "256")])?;
    api.replica.until_ready_is(StatusCode::OK).await?;
    Ok(api)
}

#[tokio::test]
async fn one_service_has_half_of_the_waits_at_most() -> Result<()> {
    let database = TestDatabase::create().await?;
    let api = start(&database).await?;
    let url = format!("{}/orders/{}?min_version=1", api.replica.url, Uuid::new_v4());
    let get = |role, wait| {
        let request = reqwest::Client::new().get(&url).bearer_auth(api.token_of(role)?);
        anyhow::Ok(request.header("prefer", wait).send())
    };
    let mut waits = JoinSet::new();
    for _ in 0..=HALF {
        waits.spawn(get(Role::Support, "wait=10")?);
    }
    let first = waits.join_next().await.context("no request")???;
    assert_eq!(first.status(), StatusCode::TOO_MANY_REQUESTS, "the others wait");
    let other = get(Role::Dashboard, "wait=1")?.await?;
    assert_eq!(other.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(other.text().await?.contains("/problems/projection-behind"));
    Ok(())
}

#[tokio::test]
async fn one_service_has_half_of_the_streams_at_most() -> Result<()> {
    let database = TestDatabase::create().await?;
    let api = start(&database).await?;
    let open = async |token: String| {
        let url = format!("{}/customers/alice/orders/stream", api.replica.url);
        reqwest::Client::new().get(url).bearer_auth(token).send().await
    };
    let mut streams = Vec::new();
    for _ in 0..HALF {
        streams.push(open(api.token_of(Role::Support)?).await?.error_for_status()?);
    }
    assert_eq!(open(api.token_of(Role::Support)?).await?.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(open(api.token_of(Role::Dashboard)?).await?.status(), StatusCode::OK);
    drop(streams);
    Ok(())
}
