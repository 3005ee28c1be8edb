//! A row with an unexpected value does not hide other rows.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::support::{Api, numbers, order};

#[tokio::test]
async fn a_summary_with_an_odd_time_does_not_hide_the_others() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 1), (2, "alice", 2), (3, "alice", 3)]).await?;
    let session = api.database.connect().await?;
    for (number, time) in [(4, "290000-01-01"), (5, "infinity"), (6, "-infinity"), (7, "4713-01-01 BC")] {
        api.insert(&[(number, "alice", 1)]).await?;
        let odd = format!("UPDATE order_summary SET placed_at = '{time}' WHERE total_cents = {number}00");
        session.batch_execute(&odd).await?;
    }
    for path in ["/customers/alice/orders", "/customers/alice/orders?status=placed"] {
        let list: Value = api.get(path).await?.error_for_status()?.json().await?;
        // A page by status has bounds, which exclude times that no request can name.
        let shown: Vec<_> = numbers(&list).into_iter().filter(|number| ![4, 5, 6].contains(number)).collect();
        assert_eq!(shown, [3, 2, 1, 7], "{path}");
    }
    let odd: Value = api.get(&order(5)).await?.error_for_status()?.json().await?;
    assert_eq!(odd["placed_at"], "9999-12-31T23:59:59.999999Z");
    let snapshot = api.watch("alice", None).await?.next().await?.context("no snapshot")?;
    assert_eq!(numbers(&snapshot.data), [5, 4, 3, 2, 1, 7, 6]);
    Ok(())
}
