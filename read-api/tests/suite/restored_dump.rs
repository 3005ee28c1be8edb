//! A read model whose rows were written by another server, under ids that this one has not come to yet.

use anyhow::{Context, Result};

use crate::support::{Api, change, insert};

#[tokio::test]
async fn what_another_server_wrote_is_shown_and_is_no_change() -> Result<()> {
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

    // Who comes back is told what has changed here, and nothing of what came with the dump.
    let mut events = api.watch("alice", Some(&snapshot.id)).await?;
    let mut told = Vec::new();
    while let Some(order) = events.next().await?.context("the stream has ended")?.order() {
        told.push(order);
    }
    told.sort_unstable();
    assert_eq!(told, [(1, 2), (3, 1)]);
    Ok(())
}
