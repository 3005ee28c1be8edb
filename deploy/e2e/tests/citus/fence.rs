//! Through a node that does not own the schema, the statements would give wrong results.

use anyhow::{Context, Result};
use reqwest::StatusCode;
use testkit::cell::id_of;
use testkit::citus::{CitusCluster, Node};
use testkit::owned_database::connect;
use testkit::readiness::{until_not_ready_because, until_ready_is};
use testkit::services::ServiceKind;

use crate::start_cell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_left_at_the_old_worker_are_refused_and_not_ready() -> Result<()> {
    let Some(cluster) = CitusCluster::start().await? else { return Ok(()) };
    let cell = start_cell(&cluster, "cell_01", Node::Worker1).await?;
    let order = id_of(&cell.place("before").await?)?;
    cell.list(1, "placed").await?;
    cluster.move_cell("cell_01", Node::Worker2).await?;

    for kind in ServiceKind::ALL {
        until_not_ready_because(&cell.admin_url(kind), "Another node of Citus owns the schema").await?;
    }
    assert_eq!(cell.pay(&order).await?, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(cell.read(&order).await?, StatusCode::SERVICE_UNAVAILABLE);
    for node in [Node::Coordinator, Node::Worker1] {
        for kind in ServiceKind::ALL {
            let session = connect(&cluster.url(node, kind.role(), "cell_01")).await?;
            let table = if kind == ServiceKind::WriteApi { "orders" } else { "order_summary" };
            let read = session.query(&format!("SELECT order_id FROM {table}"), &[]).await;
            let error = read.err().with_context(|| format!("{kind:?} has read at {node:?}"))?;
            let message = error.as_db_error().map(|error| error.message().to_owned()).unwrap_or_default();
            assert!(message.contains("pg_hba.conf rejects connection"), "{kind:?} at {node:?}: {error:?}");
        }
    }

    cluster.continue_ids("cell_01").await?;
    cell.roll(|role| cluster.url(Node::Worker2, role, "cell_01")).await?;
    for kind in ServiceKind::ALL {
        until_ready_is(&cell.admin_url(kind), StatusCode::OK).await?;
    }
    assert_eq!(cell.pay(&order).await?, StatusCode::OK);
    cell.list(1, "paid").await?;
    Ok(())
}
