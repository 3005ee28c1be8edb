//! The wire to the database fails at the wrong moment.

use std::time::{Duration, Instant};

use anyhow::Result;
use local::fault_proxy::{FaultProxy, Wire};
use local::wait;
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Api, header, order, problem, wait_for_blocked};

async fn wait_until_stored(api: &Api, events: i64) -> Result<()> {
    wait::until("the commit", Duration::from_secs(5), || async {
        let stored = api.stored().await;
        if matches!(stored, Ok((_, found)) if found == events) { Ok(()) } else { Err(stored) }
    })
    .await?;
    Ok(())
}

async fn wait_until_lost(proxy: &FaultProxy) -> Result<()> {
    wait::until("bytes to get lost", Duration::from_secs(5), || {
        std::future::ready(if proxy.lost() > 0 { Ok(()) } else { Err(0) })
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn an_order_whose_answer_got_lost_is_found_again_and_not_repeated() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[]).await?;
    api.placed().await?;
    proxy.set(Wire::AnswersLost);
    let order = order();
    let cut = async {
        let committed = wait_until_stored(&api, 2).await;
        proxy.cut_once();
        committed
    };
    let (answer, cut) = tokio::join!(api.place(&order), cut);
    cut?;
    let answer = answer?;
    assert_eq!((answer.status(), header(&answer, "idempotent-replayed")), (StatusCode::CREATED, None));
    assert_eq!(api.stored().await?, (2, 2));
    Ok(())
}

#[tokio::test]
async fn a_change_whose_answer_got_lost_is_found_again_and_not_repeated() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[]).await?;
    let order_id = api.placed().await?;
    // Paying reads before it writes. The lock lets the read pass and holds the write until its answer will get lost.
    let mut session = api.database.connect().await?;
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE outbox IN EXCLUSIVE MODE").await?;
    let watcher = api.database.connect().await?;
    let cut = async {
        wait_for_blocked(&watcher, 1).await?;
        proxy.set(Wire::AnswersLost);
        lock.rollback().await?;
        wait_until_stored(&api, 2).await?;
        wait_until_lost(&proxy).await?;
        proxy.cut_once();
        anyhow::Ok(())
    };
    let (answer, cut) = tokio::join!(api.step(&order_id, "pay"), cut);
    cut?;
    let answer = answer?;
    assert_eq!((answer.status(), header(&answer, "idempotent-replayed")), (StatusCode::OK, None));
    assert_eq!(api.stored().await?, (1, 2));
    Ok(())
}

#[tokio::test]
async fn a_statement_that_never_arrived_is_sent_again() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[]).await?;
    // A connection is open from here on.
    api.placed().await?;
    proxy.set(Wire::RequestsLost);
    let order = order();
    let cut = async {
        let lost = wait_until_lost(&proxy).await;
        proxy.cut_once();
        lost
    };
    let (answer, cut) = tokio::join!(api.place(&order), cut);
    cut?;
    assert_eq!(answer?.status(), StatusCode::CREATED);
    assert_eq!(api.stored().await?, (2, 2));
    Ok(())
}

#[tokio::test]
async fn a_connection_that_went_silent_is_given_up_and_the_outcome_found_out() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[("DATABASE_STATEMENT_TIMEOUT_MS", "500")]).await?;
    // A connection is open from here on.
    api.placed().await?;
    proxy.set(Wire::AnswersLost);
    let start = Instant::now();
    let order = order();
    let heal = async {
        let committed = wait_until_stored(&api, 2).await;
        // Nobody tells the connection that there is: only new ones work.
        proxy.heal_for_new_connections();
        committed
    };
    let (answer, healed) = tokio::join!(api.place(&order), heal);
    healed?;
    assert_eq!(answer?.status(), StatusCode::CREATED);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(api.stored().await?, (2, 2));
    Ok(())
}

#[tokio::test]
async fn an_outcome_that_cannot_be_found_out_is_said_to_be_unknown_and_a_repeat_resolves_it() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[("WRITE_DEADLINE_MS", "1000")]).await?;
    // A connection is open from here on.
    api.placed().await?;
    let mut order = order();
    order["order_id"] = json!(Uuid::now_v7());
    proxy.set(Wire::AnswersLost);
    let cut = async {
        let committed = wait_until_stored(&api, 2).await;
        proxy.set(Wire::Cut);
        committed
    };
    let (answer, cut) = tokio::join!(api.place(&order), cut);
    cut?;
    let answer = answer?;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem(answer).await?["type"], "/problems/outcome-unknown");

    proxy.set(Wire::Whole);
    let repeat = api.place(&order).await?;
    assert_eq!(
        (repeat.status(), header(&repeat, "idempotent-replayed")),
        (StatusCode::CREATED, Some("true"))
    );
    assert_eq!(api.stored().await?, (2, 2));
    Ok(())
}

#[tokio::test]
async fn a_refusal_on_the_way_of_finding_out_does_not_count_as_not_stored() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[]).await?;
    api.placed().await?;
    proxy.set(Wire::AnswersLost);
    let order = order();
    let fail_over = async {
        wait_until_stored(&api, 2).await?;
        // As in a failover: for a while the server only reads.
        let session = api.database.connect().await?;
        let name: String = session.query_one("SELECT current_database()::text", &[]).await?.get(0);
        session
            .batch_execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))
            .await?;
        let refused = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()";
        let before: i64 = session.query_one(refused, &[]).await?.get(0);
        proxy.cut_once();
        wait::until("connections to be refused", Duration::from_secs(5), || async {
            let sessions = session.query_one(refused, &[]).await.map(|row| row.get::<_, i64>(0));
            if matches!(sessions, Ok(sessions) if sessions > before + 3) { Ok(()) } else { Err(sessions) }
        })
        .await?;
        session.batch_execute(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await?;
        anyhow::Ok(())
    };
    let (answer, failed_over) = tokio::join!(api.place(&order), fail_over);
    failed_over?;
    assert_eq!(answer?.status(), StatusCode::CREATED, "it is stored, and can be seen to be");
    assert_eq!(api.stored().await?, (2, 2));
    Ok(())
}

#[tokio::test]
async fn an_unknown_outcome_without_an_identity_names_the_id_to_look_for() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[("WRITE_DEADLINE_MS", "1000")]).await?;
    // A connection is open from here on.
    api.placed().await?;
    proxy.set(Wire::AnswersLost);
    let order = order();
    let cut = async {
        let committed = wait_until_stored(&api, 2).await;
        proxy.set(Wire::Cut);
        committed
    };
    let (answer, cut) = tokio::join!(api.place(&order), cut);
    cut?;
    let problem = problem(answer?).await?;
    assert_eq!(problem["type"], "/problems/outcome-unknown");
    let detail = problem["detail"].as_str().unwrap_or_default();
    let newest = "SELECT order_id::text FROM orders ORDER BY placed_at DESC LIMIT 1";
    let stored: String = api.database.connect().await?.query_one(newest, &[]).await?.get(0);
    assert!(detail.contains(&stored), "{stored}: {detail}");
    assert!(!detail.contains("same request"), "a repeat would be another order: {detail}");
    Ok(())
}
