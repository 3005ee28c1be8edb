//! Cells on a cluster of Citus, which is started if the PostgreSQL that `PG_BIN` names, or that is found, offers this
//! extension. Otherwise the tests print that nothing was tested and pass, unless `REQUIRE_CITUS` is set.

use anyhow::Result;
use testkit::citus::{CitusCluster, Node};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cell_is_on_the_worker_that_was_chosen() -> Result<()> {
    let Some(cluster) = CitusCluster::start().await? else { return Ok(()) };
    for (cell, worker) in [("cell_01", Node::Worker2), ("cell_02", Node::Worker1)] {
        cluster.add_cell(cell, worker).await?;
        assert_eq!(cluster.owner_of(cell).await?, worker, "{cell}");
    }
    Ok(())
}
