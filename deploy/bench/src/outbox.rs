//! Waiting until the outbox is empty, and making sure of what came of it.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::wait;

use crate::rows::fill_outbox;
use crate::stage::Stage;

/// More than any backlog here takes, unless measurements are much longer than by default.
const LIMIT: Duration = Duration::from_mins(5);

/// The highest id that an event has been given, whether it is still there or not.
pub(crate) async fn last_id(stage: &Stage) -> Result<i64> {
    Ok(stage.session.query_one("SELECT last_value FROM outbox_id_seq", &[]).await?.get(0))
}

/// Waits until no event with an id from `first` to `last` is left. To look costs little as long as `last` is there.
pub(crate) async fn wait_until_drained(stage: &Stage, first: i64, last: i64) -> Result<()> {
    for range in [last..=last, first..=last] {
        wait::until("the outbox to be drained", LIMIT, || async {
            let look = "SELECT id FROM outbox WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT 1";
            match stage.session.query_opt(look, &[range.start(), range.end()]).await {
                Ok(None) => Ok(()),
                Ok(Some(row)) => Err(format!("event {} is still there", row.get::<_, i64>(0))),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
    }
    wait::until("no event to wait for a lock", LIMIT, || async {
        match stage.count("waiting_events").await {
            Ok(0) => Ok(()),
            waiting => Err(format!("{waiting:?}")),
        }
    })
    .await?;
    Ok(())
}

/// Puts the events of these orders into the outbox in one transaction. Returns how long a projector that runs takes
/// from its commit until the last has been projected.
pub(crate) async fn fill_and_drain(stage: &Stage, orders: Range<u32>, customers: u32) -> Result<Duration> {
    let events = i64::try_from(orders.len())?;
    fill_outbox(stage, orders, customers).await?;
    let start = Instant::now();
    let last = last_id(stage).await?;
    wait_until_drained(stage, last - events + 1, last).await?;
    Ok(start.elapsed())
}

/// Everything was projected, and nothing else.
pub(crate) async fn check_projected(stage: &Stage, orders: u64) -> Result<()> {
    let left = stage.count("outbox").await? + stage.count("waiting_events").await?;
    let parked = stage.count("parked_events").await?;
    let projected = stage.count("order_summary").await?;
    compare(orders, [left, parked, projected])
}

fn compare(orders: u64, [left, parked, projected]: [u64; 3]) -> Result<()> {
    ensure!(
        (left, parked, projected) == (0, 0, orders),
        "of {orders} orders {projected} were projected; {left} events are left, {parked} were parked"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_result_where_anything_is_left_missing_or_too_much() {
        assert!(compare(3, [0, 0, 3]).is_ok());
        for counts in [[1, 0, 3], [0, 1, 3], [0, 0, 2], [0, 0, 4]] {
            assert!(compare(3, counts).is_err(), "{counts:?}");
        }
    }
}
