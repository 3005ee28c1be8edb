//! Waits until the outbox is empty, and checks the result.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::wait;

use crate::rows::fill_outbox;
use crate::stage::Stage;

/// Longer than any backlog here takes with the default times.
const LIMIT: Duration = Duration::from_mins(5);

/// The highest allocated outbox id.
pub(crate) async fn last_id(stage: &Stage) -> Result<i64> {
    Ok(stage.session.query_one("SELECT last_value FROM outbox_id_seq", &[]).await?.get(0))
}

/// Waits until no event from `first` to `last` is left. Checks `last` first, which is cheap.
pub(crate) async fn wait_until_drained(stage: &Stage, first: i64, last: i64) -> Result<()> {
    for range in [last..=last, first..=last] {
        wait::until_measured("the outbox to be drained", LIMIT, || async {
            let query = "SELECT id FROM outbox WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT 1";
            match stage.session.query_opt(query, &[range.start(), range.end()]).await {
                Ok(None) => Ok(()),
                Ok(Some(row)) => Err(format!("event {} is still there", row.get::<_, i64>(0))),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
    }
    wait::until_measured("all waiting events to be applied", LIMIT, || async {
        match stage.count("waiting_events").await {
            Ok(0) => Ok(()),
            waiting => Err(format!("{waiting:?}")),
        }
    })
    .await?;
    Ok(())
}

/// Writes the events of these orders to the outbox in one transaction. Returns the time from its commit until a running
/// projector has projected the last.
pub(crate) async fn fill_and_drain(stage: &Stage, orders: Range<u32>, customers: u32) -> Result<Duration> {
    let events = i64::try_from(orders.len())?;
    fill_outbox(stage, orders, customers).await?;
    let start = Instant::now();
    let last = last_id(stage).await?;
    wait_until_drained(stage, last - events + 1, last).await?;
    Ok(start.elapsed())
}

/// Checks that exactly these orders were projected.
pub(crate) async fn check_projected(stage: &Stage, orders: u64) -> Result<()> {
    let left = stage.count("outbox").await? + stage.count("waiting_events").await?;
    let parked = stage.count("parked_events").await?;
    let projected = stage.count("order_summary").await?;
    compare(orders, [left, parked, projected])
}

fn compare(orders: u64, [left, parked, projected]: [u64; 3]) -> Result<()> {
    ensure!(
        (left, parked, projected) == (0, 0, orders),
        "of {orders} orders, {projected} were projected; {left} events are left, {parked} were parked"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remaining_missing_or_extra_row_is_an_error() {
        assert!(compare(3, [0, 0, 3]).is_ok());
        for counts in [[1, 0, 3], [0, 1, 3], [0, 0, 2], [0, 0, 4]] {
            assert!(compare(3, counts).is_err(), "{counts:?}");
        }
    }
}
