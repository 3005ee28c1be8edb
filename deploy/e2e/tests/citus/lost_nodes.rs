//! A node is killed and starts again while a cell is under load.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use testkit::citus::{CitusCluster, Node};

use crate::shop::Shop;
use crate::start_cell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_owner_is_killed_and_the_cell_goes_on_after_it() -> Result<()> {
    let Some(mut cluster) = CitusCluster::start().await? else { return Ok(()) };
    let shop = Shop::open(start_cell(&cluster, "cell_01", Node::Worker1).await?);
    shop.until_more(20).await?;
    cluster.node_mut(Node::Worker1).kill();
    let killed = Instant::now();
    cluster.node_mut(Node::Worker1).start_again()?;
    shop.report("owner killed, until it is ready", killed.elapsed());
    let ready = Instant::now();
    shop.until_more(1).await?;
    shop.report("until the next order", ready.elapsed());
    shop.until_more(20).await?;
    shop.close(&cluster, Node::Worker1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_new_partitions_need_the_coordinator() -> Result<()> {
    let Some(mut cluster) = CitusCluster::start().await? else { return Ok(()) };
    let shop = Shop::open(start_cell(&cluster, "cell_01", Node::Worker1).await?);
    let create = "SELECT cell_01.create_event_log_partitions()";
    drop_newest_partition(&cluster).await?;
    cluster.node_mut(Node::Coordinator).kill();
    shop.report("coordinator killed", std::time::Duration::ZERO);
    shop.until_more(50).await?;
    shop.report("50 orders without it", std::time::Duration::ZERO);
    let owner = cluster.connect(Node::Worker1).await?;
    let error = owner.query_one(create, &[]).await.err().context("it was made without the coordinator")?;
    let message = error.as_db_error().map(|error| error.message().to_owned()).unwrap_or_default();
    ensure!(message.contains("failed on the coordinator"), "{message}");
    cluster.node_mut(Node::Coordinator).start_again()?;
    shop.until_more(1).await?;
    let _made_by_the_projector_before = owner.query_one(create, &[]).await?;
    let partitions: i64 = owner.query_one(PARTITIONS, &[]).await?.get(0);
    ensure!(partitions == 9, "{partitions} partitions");
    shop.close(&cluster, Node::Worker1).await
}

/// Of the day before, today, and seven days ahead.
const PARTITIONS: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'cell_01.event_log'::regclass";

async fn drop_newest_partition(cluster: &CitusCluster) -> Result<()> {
    let coordinator = cluster.connect(Node::Coordinator).await?;
    let newest = "SELECT inhrelid::regclass::text FROM pg_inherits
                  WHERE inhparent = 'cell_01.event_log'::regclass ORDER BY 1 DESC LIMIT 1";
    let newest: String = coordinator.query_one(newest, &[]).await?.get(0);
    Ok(coordinator.batch_execute(&format!("DROP TABLE {newest}")).await?)
}
