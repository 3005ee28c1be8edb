//! Migrations in a schema that is distributed.

use anyhow::Result;
use migrate::Cell;
use testkit::cell::CellScene;
use testkit::citus::{CitusCluster, Node};

/// Released migrations before these run only before the schema is distributed.
const FIRST_FOR_CITUS: &str = "20261129";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_reach_the_owner_of_a_distributed_cell_through_the_coordinator() -> Result<()> {
    let Some(cluster) = CitusCluster::start().await? else { return Ok(()) };
    let coordinator = cluster.superuser_url(Node::Coordinator);
    let cell = Cell::new("cell_01")?;
    cell.up(&coordinator).await?;
    let count = "SELECT count(*) FROM cell_01.__diesel_schema_migrations WHERE version >= $1";
    let session = cluster.connect(Node::Coordinator).await?;
    let steps: i64 = session.query_one(count, &[&FIRST_FOR_CITUS]).await?.get(0);
    cell.down(&coordinator, usize::try_from(steps)?).await?;
    cluster.distribute("cell_01", Node::Worker1).await?;

    assert_eq!(i64::try_from(cell.up(&coordinator).await?.len())?, steps);
    let scene = CellScene::start("cell_01", |role| cluster.url(Node::Worker1, role, "cell_01")).await?;
    scene.trade(3).await?;
    drop(scene);
    cell.down(&coordinator, usize::try_from(steps)?).await?;
    assert_eq!(
        i64::try_from(cell.up(&coordinator).await?.len())?,
        steps,
        "also with events, and there and back"
    );
    Ok(())
}
