//! A cell moves to another worker while it is used.

use std::time::Instant;

use anyhow::Result;
use testkit::citus::{CitusCluster, Node};
use testkit::services::ServiceKind;

use crate::shop::Shop;
use crate::start_cell;

/// As the documents say.
async fn move_to(cluster: &CitusCluster, shop: &Shop, worker: Node) -> Result<()> {
    let cell = shop.scene.name;
    let start = Instant::now();
    cluster.move_cell(cell, worker).await?;
    shop.report("move", start.elapsed());
    follow(cluster, shop, worker, Instant::now()).await
}

/// What an operator does once a cell is on another worker, and when it takes orders again.
async fn follow(cluster: &CitusCluster, shop: &Shop, worker: Node, moved: Instant) -> Result<()> {
    let url_of = |role: &str| cluster.url(worker, role, shop.scene.name);
    cluster.continue_ids(shop.scene.name).await?;
    let next_order = async {
        shop.until_more(1).await?;
        shop.report("until the next order", moved.elapsed());
        anyhow::Ok(())
    };
    let (restarted, next_order) = tokio::join!(shop.scene.restart(ServiceKind::WriteApi, url_of), next_order);
    restarted.and(next_order)?;
    for kind in [ServiceKind::Projector, ServiceKind::ReadApi] {
        shop.scene.restart(kind, url_of).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_a_cell_moves_under_load_in_both_directions() -> Result<()> {
    let Some(cluster) = CitusCluster::start().await? else { return Ok(()) };
    let shop = Shop::open(start_cell(&cluster, "cell_01", Node::Worker2).await?);
    shop.until_more(20).await?;
    // First to the one whose ids are lower.
    for worker in [Node::Worker1, Node::Worker2, Node::Worker1] {
        move_to(&cluster, &shop, worker).await?;
        shop.until_more(20).await?;
    }
    shop.close(&cluster, Node::Worker1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_cells_are_rebalanced_under_load() -> Result<()> {
    let Some(cluster) = CitusCluster::start().await? else { return Ok(()) };
    let cells = ["cell_01", "cell_02"];
    let mut shops = Vec::new();
    for cell in cells {
        let shop = Shop::open(start_cell(&cluster, cell, Node::Worker2).await?);
        shop.until_more(10).await?;
        shops.push(shop);
    }
    let start = Instant::now();
    cluster.rebalance().await?;
    let took = start.elapsed();
    let mut owners = Vec::new();
    for shop in &shops {
        let (cell, owner) = (shop.scene.name, cluster.owner_of(shop.scene.name).await?);
        shop.report(&format!("rebalance of {cell} to {owner:?}"), took);
        if owner != Node::Worker2 {
            follow(&cluster, shop, owner, Instant::now()).await?;
        }
        owners.push(owner);
    }
    assert_ne!(owners.first(), owners.last(), "one cell has moved");
    for (shop, owner) in shops.into_iter().zip(owners) {
        shop.until_more(20).await?;
        shop.report("until 20 more orders", start.elapsed());
        shop.close(&cluster, owner).await?;
    }
    Ok(())
}
