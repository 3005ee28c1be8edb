//! The connection to the database fails between a commit and its reply.

use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::Utc;
use reqwest::StatusCode;
use serde_json::json;
use service_kit::database::DatabaseConfig;
use service_kit::tasks::CriticalTasks;
use testkit::fault_proxy::{FaultProxy, Wire};
use testkit::wait;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use write_api::BY_KEY_ONLY;
use write_api::adapter::postgres::{Limits, PgOrderWriter};
use write_api::budget::Budget;
use write_api::port::{OrderWriter, Saved};

use crate::support::{Api, SingleSessionWriter, header, order, problem, some_order, wait_for_blocked};

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
    // Paying reads before it writes. The lock lets the read pass, and blocks the write until its reply will get lost.
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
        wait::until("connections to be refused", Duration::from_secs(5), || async {
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

/// Pays an order so that the reply to the commit gets lost, and runs `overtake`, which takes the next step before the
/// writer can resolve the outcome. Returns the response.
async fn pay_and_overtake(
    api: &Api,
    proxy: &FaultProxy,
    order_id: &str,
    overtake: &str,
) -> Result<(StatusCode, Option<String>, serde_json::Value)> {
    let mut session = api.database.connect().await?;
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE outbox IN EXCLUSIVE MODE").await?;
    let other = api.database.connect().await?;
    let overtaking = async {
        wait_for_blocked(&other, 1).await?;
        proxy.set(Wire::ResponsesLost);
        lock.rollback().await?;
        wait_until_stored(api, 2).await?;
        wait_until_lost(proxy).await?;
        anyhow::ensure!(other.execute(overtake, &[]).await? == 1, "nothing was overtaken");
        proxy.cut_once();
        anyhow::Ok(())
    };
    let (response, overtaken) = tokio::join!(api.step(order_id, "pay"), overtaking);
    overtaken?;
    let response = response?;
    let (status, replayed) = (response.status(), header(&response, "idempotent-replayed").map(str::to_owned));
    Ok((status, replayed, response.json().await?))
}

#[tokio::test]
async fn a_step_whose_reply_got_lost_is_recognized_even_after_the_next_step() -> Result<()> {
    let by_this_build = "write_attempts = 1::bigint || write_attempts";
    let by_an_older_build = "updated_at = now()";
    for overtake in [by_this_build, by_an_older_build] {
        let (api, proxy) = Api::start_behind_a_proxy(&[]).await?;
        let order_id = api.placed().await?;
        let ship = format!("UPDATE orders SET status = 'shipped', version = 3, {overtake} WHERE version = 2");
        let (status, replayed, body) = pay_and_overtake(&api, &proxy, &order_id, &ship).await?;
        assert_eq!((status, replayed), (StatusCode::OK, None), "{overtake}: {body}");
        assert_eq!((&body["status"], &body["version"]), (&json!("paid"), &json!(2)), "{overtake}");
    }
    Ok(())
}

#[tokio::test]
async fn a_step_that_was_followed_by_too_many_others_has_an_unknown_outcome() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[]).await?;
    let order_id = api.placed().await?;
    let many_steps =
        "UPDATE orders SET status = 'shipped', version = 10, write_attempts = ARRAY[1, 2, NULL, 4, 5, 6, 7, 8]
                      WHERE version = 2";
    let (status, _, body) = pay_and_overtake(&api, &proxy, &order_id, many_steps).await?;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert_eq!(body["type"], "/problems/outcome-unknown");
    Ok(())
}

/// Two callers take the same step from the same version in the same microsecond, so both would store the same row. The
/// statement of one gets lost and the other is stored. The first caller must not mistake that row for its own.
#[tokio::test]
async fn an_identical_row_of_another_caller_is_not_mistaken_for_ones_own() -> Result<()> {
    for is_step in [false, true] {
        let other = SingleSessionWriter::open().await?;
        let (proxy, url) = other.test_database.behind_a_proxy("orders_write_api").await?;
        let vars = [("DATABASE_URL", url), ("DATABASE_POOL_SIZE", "1".to_owned())];
        let vars = vars.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let database = DatabaseConfig::from_vars(&vars)?.with_settings(BY_KEY_ONLY).open("test")?;
        let limits =
            Limits { write_queue: 16, budget: Budget::new(1 << 24), write_deadline: Duration::from_secs(5) };
        let tasks = CriticalTasks::new(CancellationToken::new());
        let writer = PgOrderWriter::start(database.clone(), database, limits, &tasks);

        let now = Utc::now();
        let (placed, event) = some_order(now)?;
        let (saved, event) = if is_step {
            other.writer.save(&placed, event).await?;
            placed.pay(now)?
        } else {
            // The read below opens the connection.
            (placed, event)
        };
        writer.find(saved.id()).await?;
        proxy.set(Wire::RequestsLost);
        let overtake = async {
            wait_until_lost(&proxy).await?;
            assert_eq!(other.writer.save(&saved, event.clone()).await?, Saved::Stored);
            proxy.cut_once();
            anyhow::Ok(())
        };
        let (ours, overtaken) = tokio::join!(writer.save(&saved, event.clone()), overtake);
        overtaken?;
        assert_eq!(ours?, Saved::Superseded(Box::new(saved)), "a step: {is_step}");
    }
    Ok(())
}
