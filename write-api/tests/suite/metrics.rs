//! What the metrics of the write pipeline count.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use reqwest::StatusCode;
use testkit::fault_proxy::Wire;
use testkit::wait;

use crate::support::{Api, Replica, order, wait_for_blocked};

const LIMIT: Duration = Duration::from_secs(30);

/// The value of this series, which is a whole number.
async fn value(api: &Replica, series: &str) -> Result<u64> {
    let metrics = api.probe("/metrics").await?.error_for_status()?.text().await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no {series} in\n{metrics}"))?.parse()?)
}

#[tokio::test]
async fn writes_that_wait_are_counted_until_they_have_their_result() -> Result<()> {
    let api = Api::start_with(&[("DATABASE_LOCK_TIMEOUT_MS", "30000")]).await?;
    let (mut session, watcher) = (api.database.connect().await?, api.database.connect().await?);
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE outbox IN EXCLUSIVE MODE").await?;
    let order = order();
    let first = api.place(&order);
    let others = async {
        // The first is in a batch then, and the others wait for the next.
        wait_for_blocked(&watcher, 1).await?;
        let placing = try_join_all((0..3).map(|_| api.place(&order)));
        let unlock = async {
            wait::until("three waiting writes", LIMIT, async || {
                match value(&api, "orders_write_queue_commands").await {
                    Ok(3) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
            assert!(value(&api, "orders_write_budget_used_bytes").await? > 3_000);
            Ok(lock.rollback().await?)
        };
        let (responses, unlocked): (_, Result<()>) = tokio::join!(placing, unlock);
        unlocked?;
        responses
    };
    let (first, others) = tokio::join!(first, others);
    for response in others?.iter().chain([&first?]) {
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    assert_eq!(value(&api, "orders_write_results_total{result=\"stored\"}").await?, 4);
    assert_eq!(value(&api, "orders_write_batch_commands_sum").await?, 4);
    assert_eq!(value(&api, "orders_write_batch_commands_count").await?, 2);
    assert_eq!(value(&api, "orders_write_commit_duration_seconds_count").await?, 2);
    assert_eq!(value(&api, "orders_write_queue_commands").await?, 0);
    assert_eq!(value(&api, "orders_write_unknown_outcomes_total{result=\"stored\"}").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_outcome_that_was_unknown_is_counted_by_what_was_found_out() -> Result<()> {
    let short = [("DATABASE_STATEMENT_TIMEOUT_MS", "500"), ("DATABASE_LOCK_TIMEOUT_MS", "400")];
    let (api, proxy) = Api::start_behind_a_proxy(&short).await?;
    assert_eq!(api.place(&order()).await?.status(), StatusCode::CREATED);
    proxy.set(Wire::ResponsesLost);
    let order = order();
    let healed = async {
        wait::until("the order", LIMIT, async || match api.stored().await {
            Ok((2, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        proxy.heal_for_new_connections();
        anyhow::Ok(())
    };
    let (placed, healed) = tokio::join!(api.place(&order), healed);
    healed?;
    assert_eq!(placed?.status(), StatusCode::CREATED);
    assert_eq!(value(&api, "orders_write_unknown_outcomes_total{result=\"stored\"}").await?, 1);
    assert_eq!(value(&api, "orders_write_results_total{result=\"stored\"}").await?, 2);
    Ok(())
}
