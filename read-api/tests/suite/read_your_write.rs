//! `min_version` and `Prefer: wait`.

use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::support::{Api, Replica, change, insert, order, problem};

async fn get(replica: &Replica, path: &str, prefer: &str) -> Result<Response> {
    let request = reqwest::Client::new().get(format!("{}{path}", replica.url));
    Ok(request.header("prefer", prefer).send().await?)
}

#[tokio::test]
async fn a_version_that_is_there_is_answered_at_once() -> Result<()> {
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
async fn a_version_that_is_not_there_is_told_so_at_once_unless_waiting_is_preferred() -> Result<()> {
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
async fn who_waits_is_answered_as_soon_as_the_projection_is_there() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    let session = api.database.connect().await?;
    let (path, new) = (format!("{}?min_version=3", order(1)), format!("{}?min_version=1", order(2)));
    let later = async {
        // Others are told while this one still waits.
        assert_eq!(get(&api, &format!("{}?min_version=2", order(1)), "wait=0").await?.status(), 503);
        change(&session, 1, 1).await?;
        assert_eq!(get(&api, &format!("{}?min_version=2", order(1)), "wait=10").await?.status(), 200);
        insert(&session, &[(2, "alice", 1)]).await?;
        change(&session, 1, 1).await?;
        anyhow::Ok(Instant::now())
    };
    let waiting = async {
        let (changed, placed) = tokio::try_join!(get(&api, &path, "wait=10"), get(&api, &new, "wait=10"))?;
        let answered = Instant::now();
        assert_eq!(placed.status(), StatusCode::OK);
        let order: Value = changed.error_for_status()?.json().await?;
        assert_eq!(order["version"], 3);
        anyhow::Ok(answered)
    };
    let (changed, answered) = tokio::try_join!(later, waiting)?;
    assert!(answered - changed < Duration::from_millis(500), "{:?}", answered - changed);
    Ok(())
}

async fn statements_so_far(session: &tokio_postgres::Client) -> Result<i64> {
    // Every statement of read-api is a transaction. The numbers come with some delay.
    let count = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    Ok(session.query_one(count, &[]).await?.get(0))
}

#[tokio::test]
async fn a_thousand_who_wait_hold_no_connection_and_cost_one_query_a_tick() -> Result<()> {
    // One connection for everything but the lanes, which are never waited on.
    let api = Api::start_with(&[("DATABASE_POOL_SIZE", "1")]).await?;
    let session = api.database.connect().await?;
    let client = reqwest::Client::new();
    let waiting = (1..=1_000).map(|number| {
        let request = client.get(format!("{}{}?min_version=1", api.url, order(number)));
        tokio::spawn(request.header("prefer", "wait=10").send())
    });
    let waiting: Vec<_> = waiting.collect();
    // Another who waits is refused at the end of its second, and not because of the others.
    let response = get(&api, &format!("{}?min_version=1", order(1_001)), "wait=1").await?;
    assert_eq!(problem(response).await?["type"], "/problems/projection-behind");
    // The status filter goes through the pool with its one connection.
    assert_eq!(api.get("/customers/alice/orders?status=paid").await?.status(), StatusCode::OK);

    let (before, start) = (statements_so_far(&session).await?, Instant::now());
    get(&api, &format!("{}?min_version=1", order(1_001)), "wait=2").await?;
    let (statements, ticks) = (statements_so_far(&session).await? - before, start.elapsed().as_millis() / 5);
    // Some of the second before are counted too.
    let most = i64::try_from(2 * ticks)? + 100;
    assert!(statements < most, "{statements} statements in {ticks} ticks");

    insert(&session, &(1..=1_000).map(|number| (number, "alice", number)).collect::<Vec<_>>()).await?;
    for answer in waiting {
        assert_eq!(answer.await??.status(), StatusCode::OK);
    }
    Ok(())
}

#[tokio::test]
async fn while_the_database_is_away_who_waits_is_told_so() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    let path = format!("{}?min_version=2", order(1));
    let waiting = get(&api, &path, "wait=10");
    let cut = async {
        // It waits once its order has been looked for.
        assert_eq!(api.get(&order(1)).await?.status(), StatusCode::OK);
        proxy.set(testkit::fault_proxy::Wire::RequestsLost);
        anyhow::Ok(())
    };
    let (response, ()) = tokio::try_join!(waiting, cut)?;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem(response).await?["type"], "/problems/unavailable");
    Ok(())
}
