//! `min_version` and `Prefer: wait`.

use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::support::{Api, Replica, change, insert, insert_many, order, problem};

async fn get(replica: &Replica, path: &str, prefer: &str) -> Result<Response> {
    let request = reqwest::Client::new().get(format!("{}{path}", replica.url));
    Ok(request.header("prefer", prefer).send().await?)
}

#[tokio::test]
async fn an_existing_version_is_returned_at_once() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    let session = api.database.connect().await?;
    change(&session, 1, 1).await?;
    for min_version in [1, 2] {
        let response = get(&api, &format!("{}?min_version={min_version}", order(1)), "wait=9").await?;
        assert_eq!((response.status(), &response.headers()["etag"]), (StatusCode::OK, &"\"2\"".parse()?));
        assert_eq!(response.headers()["preference-applied"], "wait=9");
    }
    let response = api.get(&format!("{}?min_version=2", order(1))).await?;
    assert_eq!((response.status(), response.headers().get("preference-applied")), (StatusCode::OK, None));
    Ok(())
}

#[tokio::test]
async fn a_missing_version_is_503_at_once_or_after_the_preferred_wait() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    for (path, prefer) in [
        (format!("{}?min_version=2", order(1)), "respond-async"),
        (format!("{}?min_version=1", order(2)), "wait=0"),
        (format!("{}?min_version=2", order(1)), "wait=1"),
    ] {
        let start = Instant::now();
        let response = get(&api, &path, prefer).await?;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path} {prefer}");
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(problem(response).await?["type"], "/problems/projection-behind", "{path} {prefer}");
        assert_eq!(start.elapsed() >= Duration::from_secs(1), prefer == "wait=1", "{path} {prefer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_waiting_request_gets_the_version_as_soon_as_it_is_projected() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    let session = api.database.connect().await?;
    let (path, new) = (format!("{}?min_version=3", order(1)), format!("{}?min_version=1", order(2)));
    let later = async {
        // Other requests get their responses while this one still waits.
        assert_eq!(get(&api, &format!("{}?min_version=2", order(1)), "wait=0").await?.status(), 503);
        change(&session, 1, 1).await?;
        assert_eq!(get(&api, &format!("{}?min_version=2", order(1)), "wait=10").await?.status(), 200);
        insert(&session, &[(2, "alice", 1)]).await?;
        change(&session, 1, 1).await?;
        anyhow::Ok(Instant::now())
    };
    let waiting = async {
        let (changed, placed) = tokio::try_join!(get(&api, &path, "wait=10"), get(&api, &new, "wait=10"))?;
        let received = Instant::now();
        assert_eq!(placed.status(), StatusCode::OK);
        let order: Value = changed.error_for_status()?.json().await?;
        assert_eq!(order["version"], 3);
        anyhow::Ok(received)
    };
    let (changed, received) = tokio::try_join!(later, waiting)?;
    assert!(received - changed < Duration::from_millis(500), "{:?}", received - changed);
    Ok(())
}

async fn statements_so_far(session: &tokio_postgres::Client) -> Result<i64> {
    // Every statement of read-api is a transaction. The counter lags a little.
    let count = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    Ok(session.query_one(count, &[]).await?.get(0))
}

#[tokio::test]
async fn a_thousand_waits_hold_no_connection_and_share_one_query_per_poll() -> Result<()> {
    // One connection for everything but the dedicated pool, which waits never use.
    let api = Api::start_with(&[("DATABASE_POOL_SIZE", "1")]).await?;
    let session = api.database.connect().await?;
    let client = reqwest::Client::new();
    let waiting = (1..=1_000).map(|number| {
        let request = client.get(format!("{}{}?min_version=1", api.url, order(number)));
        tokio::spawn(request.header("prefer", "wait=10").send())
    });
    let waiting: Vec<_> = waiting.collect();
    // Another request waits too: it gets its response after its second, and not an earlier one because of the others.
    let response = get(&api, &format!("{}?min_version=1", order(1_001)), "wait=1").await?;
    assert_eq!(problem(response).await?["type"], "/problems/projection-behind");
    // The status filter goes through the pool with its one connection.
    assert_eq!(api.get("/customers/alice/orders?status=paid").await?.status(), StatusCode::OK);

    let (before, start) = (statements_so_far(&session).await?, Instant::now());
    get(&api, &format!("{}?min_version=1", order(1_001)), "wait=2").await?;
    let (statements, polls) = (statements_so_far(&session).await? - before, start.elapsed().as_millis() / 5);
    // Some statements of the previous second are counted, too.
    let most = i64::try_from(2 * polls)? + 100;
    assert!(statements < most, "{statements} statements in {polls} polls");

    insert_many(&session, "alice", 1..1_001).await?;
    for response in waiting {
        assert_eq!(response.await??.status(), StatusCode::OK);
    }
    Ok(())
}

#[tokio::test]
async fn waiting_requests_fail_when_the_database_goes_away() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    let path = format!("{}?min_version=2", order(1));
    let waiting = get(&api, &path, "wait=10");
    let cut = async {
        // By now the wait has started.
        assert_eq!(api.get(&order(1)).await?.status(), StatusCode::OK);
        proxy.set(testkit::fault_proxy::Wire::RequestsLost);
        anyhow::Ok(())
    };
    let (response, ()) = tokio::try_join!(waiting, cut)?;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem(response).await?["type"], "/problems/unavailable");
    Ok(())
}
