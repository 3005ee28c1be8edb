//! Cells on a cluster of Citus, which is started if the PostgreSQL that `PG_BIN` names, or that is found, offers this
//! extension. Otherwise the tests print that nothing was tested and pass, unless `REQUIRE_CITUS` is set.

mod continuing;
mod fence;
mod flow;
mod followers;
mod lost_nodes;
mod moves;
mod shop;
mod upgrade;

use anyhow::Result;
use testkit::cell::CellScene;
use testkit::citus::{CitusCluster, Node};

/// Makes a cell on this worker, and starts its processes there.
async fn start_cell(cluster: &CitusCluster, cell: &'static str, worker: Node) -> Result<CellScene> {
    cluster.add_cell(cell, worker).await?;
    CellScene::start(cell, |role| cluster.url(worker, role, cell)).await
}
