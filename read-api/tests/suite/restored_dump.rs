//! A restored dump: another server wrote the rows, with transaction ids that this one has not reached yet.

use anyhow::{Context, Result};

use crate::support::{Api, change, insert};

#[tokio::test]
async fn rows_of_another_server_are_shown_but_are_no_changes() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 1), (2, "alice", 2)]).await?;
    let session = api.database.connect().await?;
    session.batch_execute("UPDATE order_summary SET changed_in = 1000000000000").await?;
    let mut events = api.watch("alice", None).await?;
    let snapshot = events.next().await?.context("no snapshot")?;
    assert_eq!(snapshot.data["orders"].as_array().map(Vec::len), Some(2));
    insert(&session, &[(3, "alice", 3)]).await?;
    assert_eq!(events.next().await?.context("the stream has ended")?.order(), Some((3, 1)));
    change(&session, 1, 1).await?;
    while events.next_order().await?.0 != (1, 2) {}

    // A client that resumes gets the changes made here, and no row of the dump.
    let mut events = api.watch("alice", Some(&snapshot.id)).await?;
    let mut received = Vec::new();
    while let Some(order) = events.next().await?.context("the stream has ended")?.order() {
        received.push(order);
    }
    received.sort_unstable();
    assert_eq!(received, [(1, 2), (3, 1)]);
    Ok(())
}
