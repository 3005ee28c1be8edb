//! The reply to a write gets lost, and other writes of the same order are stored before the outcome is resolved.

use std::time::Duration;

use anyhow::Result;
use chrono::Utc;
use reqwest::StatusCode;
use serde_json::json;
use service_kit::database::DatabaseConfig;
use service_kit::metrics::Registry;
use service_kit::tasks::CriticalTasks;
use testkit::fault_proxy::{FaultProxy, Wire};
use tokio_util::sync::CancellationToken;
use write_api::BY_KEY_ONLY;
use write_api::adapter::postgres::{Limits, PgOrderWriter};
use write_api::budget::Budget;
use write_api::port::{OrderWriter, SaveResult};

use crate::lost_replies::{wait_until_lost, wait_until_stored};
use crate::support::{Api, SingleSessionWriter, header, some_order, wait_for_blocked};

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
        let writer = PgOrderWriter::start(database.clone(), database, limits, &tasks, &Registry::new(&[])?);

        let now = Utc::now();
        let (placed, event) = some_order(now)?;
        let (saved, event) = if is_step {
            other.writer.save(&placed, event).await?;
            placed.pay(now)?
        } else {
            // The read below opens the connection.
            (placed, event)
        };
        writer.find(saved.id(), None).await?;
        proxy.set(Wire::RequestsLost);
        let overtake = async {
            wait_until_lost(&proxy).await?;
            assert_eq!(other.writer.save(&saved, event.clone()).await?, SaveResult::Stored);
            proxy.cut_once();
            anyhow::Ok(())
        };
        let (ours, overtaken) = tokio::join!(writer.save(&saved, event.clone()), overtake);
        overtaken?;
        assert_eq!(ours?, SaveResult::Conflict(Box::new(saved)), "a step: {is_step}");
    }
    Ok(())
}
