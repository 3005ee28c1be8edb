//! The connection to the database fails between a commit and its reply (I3).

use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::StatusCode;
use serde_json::json;
use testkit::fault_proxy::{FaultProxy, Wire};
use testkit::wait;
use uuid::Uuid;

use crate::support::{Api, header, order, problem, wait_for_blocked};

pub(crate) async fn wait_until_stored(api: &Api, events: i64) -> Result<()> {
    wait::until("the commit", Duration::from_secs(30), || async {
        let stored = api.stored().await;
        if matches!(stored, Ok((_, found)) if found == events) { Ok(()) } else { Err(stored) }
    })
    .await?;
    Ok(())
}

pub(crate) async fn wait_until_lost(proxy: &FaultProxy) -> Result<()> {
    wait::until("bytes to get lost", Duration::from_secs(30), || {
        std::future::ready(if proxy.lost() > 0 { Ok(()) } else { Err(0) })
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn an_order_whose_reply_got_lost_is_found_and_not_repeated() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[]).await?;
    api.placed().await?;
    proxy.set(Wire::ResponsesLost);
    let order = order();
    let cut = async {
        let committed = wait_until_stored(&api, 2).await;
        proxy.cut_once();
        committed
    };
    let (response, cut) = tokio::join!(api.place(&order), cut);
    cut?;
    let response = response?;
    assert_eq!((response.status(), header(&response, "idempotent-replayed")), (StatusCode::CREATED, None));
    assert_eq!(api.stored().await?, (2, 2));
    Ok(())
}

#[tokio::test]
async fn a_change_whose_reply_got_lost_is_found_and_not_repeated() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[]).await?;
    let order_id = api.placed().await?;
    // Paying reads before it writes. The lock lets the read pass, and blocks the write until the proxy drops replies.
    let mut session = api.database.connect().await?;
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE outbox IN EXCLUSIVE MODE").await?;
    let watcher = api.database.connect().await?;
    let cut = async {
        wait_for_blocked(&watcher, 1).await?;
        proxy.set(Wire::ResponsesLost);
        lock.rollback().await?;
        wait_until_stored(&api, 2).await?;
        wait_until_lost(&proxy).await?;
        proxy.cut_once();
        anyhow::Ok(())
    };
    let (response, cut) = tokio::join!(api.step(&order_id, "pay"), cut);
    cut?;
    let response = response?;
    assert_eq!((response.status(), header(&response, "idempotent-replayed")), (StatusCode::OK, None));
    assert_eq!(api.stored().await?, (1, 2));
    Ok(())
}

#[tokio::test]
async fn a_statement_that_never_arrived_is_sent_again() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[]).await?;
    // Opens a connection.
    api.placed().await?;
    proxy.set(Wire::RequestsLost);
    let order = order();
    let cut = async {
        let lost = wait_until_lost(&proxy).await;
        proxy.cut_once();
        lost
    };
    let (response, cut) = tokio::join!(api.place(&order), cut);
    cut?;
    assert_eq!(response?.status(), StatusCode::CREATED);
    assert_eq!(api.stored().await?, (2, 2));
    Ok(())
}

#[tokio::test]
async fn a_silent_connection_is_abandoned_and_the_outcome_resolved() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[("DATABASE_STATEMENT_TIMEOUT_MS", "500")]).await?;
    // Opens a connection.
    api.placed().await?;
    proxy.set(Wire::ResponsesLost);
    let start = Instant::now();
    let order = order();
    let heal = async {
        let committed = wait_until_stored(&api, 2).await;
        // Only new connections work. The old one gets no error.
        proxy.heal_for_new_connections();
        committed
    };
    let (response, healed) = tokio::join!(api.place(&order), heal);
    healed?;
    assert_eq!(response?.status(), StatusCode::CREATED);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(api.stored().await?, (2, 2));
    Ok(())
}

#[tokio::test]
async fn an_outcome_that_cannot_be_resolved_is_unknown_until_the_request_is_repeated() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[("WRITE_DEADLINE_MS", "1000")]).await?;
    // Opens a connection.
    api.placed().await?;
    let mut order = order();
    order["order_id"] = json!(Uuid::now_v7());
    order["currency"] = json!("EUR");
    proxy.set(Wire::ResponsesLost);
    let cut = async {
        let committed = wait_until_stored(&api, 2).await;
        proxy.set(Wire::Cut);
        committed
    };
    let (response, cut) = tokio::join!(api.place(&order), cut);
    cut?;
    let response = response?;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem(response).await?["type"], "/problems/outcome-unknown");

    proxy.set(Wire::Whole);
    let repeat = api.place(&order).await?;
    assert_eq!(
        (repeat.status(), header(&repeat, "idempotent-replayed")),
        (StatusCode::CREATED, Some("true"))
    );
    order["currency"] = json!("USD");
    let other = api.place(&order).await?;
    assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY, "the currency was stored too");
    assert_eq!(api.stored().await?, (2, 2));
    Ok(())
}

#[tokio::test]
async fn a_refused_retry_does_not_mean_that_nothing_was_stored() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[]).await?;
    api.placed().await?;
    proxy.set(Wire::ResponsesLost);
    let order = order();
    let fail_over = async {
        wait_until_stored(&api, 2).await?;
        // As in a failover: the server is read-only for a while.
        let session = api.database.connect().await?;
        let name: String = session.query_one("SELECT current_database()::text", &[]).await?.get(0);
        session
            .batch_execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))
            .await?;
        let refused = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()";
        let before: i64 = session.query_one(refused, &[]).await?.get(0);
        proxy.cut_once();
        wait::until("connections to be refused", Duration::from_secs(30), || async {
            let sessions = session.query_one(refused, &[]).await.map(|row| row.get::<_, i64>(0));
            if matches!(sessions, Ok(sessions) if sessions > before + 3) { Ok(()) } else { Err(sessions) }
        })
        .await?;
        session.batch_execute(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await?;
        anyhow::Ok(())
    };
    let (response, failed_over) = tokio::join!(api.place(&order), fail_over);
    failed_over?;
    assert_eq!(response?.status(), StatusCode::CREATED, "it is stored, and a lookup shows it");
    assert_eq!(api.stored().await?, (2, 2));
    Ok(())
}

#[tokio::test]
async fn an_unknown_outcome_without_an_identity_names_the_id_to_look_for() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[("WRITE_DEADLINE_MS", "1000")]).await?;
    // Opens a connection.
    api.placed().await?;
    proxy.set(Wire::ResponsesLost);
    let order = order();
    let cut = async {
        let committed = wait_until_stored(&api, 2).await;
        proxy.set(Wire::Cut);
        committed
    };
    let (response, cut) = tokio::join!(api.place(&order), cut);
    cut?;
    let problem = problem(response?).await?;
    assert_eq!(problem["type"], "/problems/outcome-unknown");
    let detail = problem["detail"].as_str().unwrap_or_default();
    let newest = "SELECT order_id::text FROM orders ORDER BY placed_at DESC LIMIT 1";
    let stored: String = api.database.connect().await?.query_one(newest, &[]).await?.get(0);
    assert!(detail.contains(&stored), "{stored}: {detail}");
    assert!(!detail.contains("same request"), "a repeat would place another order: {detail}");
    Ok(())
}
