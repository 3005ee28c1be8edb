//! What a cell keeps when it moves: ids of events, positions of its log, and positions of its streams.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use testkit::cell::{CUSTOMER, CellScene, OrderStream, StreamEvent, events_of, id_of};
use testkit::citus::{CitusCluster, Node};
use testkit::services::ServiceKind;

use crate::followers::versions_in;
use crate::start_cell;

const ORDERS: usize = 5;

/// Events that were not projected before a move to lower ids, and those that follow. `is_continued`: the operator has
/// continued the ids. Returns the versions in the order of the feed.
async fn versions_across_a_move(
    cluster: &CitusCluster,
    cell: &CellScene,
    is_continued: bool,
) -> Result<Vec<i64>> {
    let mut orders = Vec::new();
    for number in 0..ORDERS {
        orders.push(id_of(&cell.place(&format!("key-{number}")).await?)?);
    }
    cell.feed(ORDERS).await?;
    cell.sent(ORDERS).await?;
    cell.stop(ServiceKind::Projector).await?;
    for order in &orders {
        ensure!(cell.pay(order).await? == StatusCode::OK, "{order}");
    }
    cluster.move_cell(cell.name, Node::Worker1).await?;
    if is_continued {
        cluster.continue_ids(cell.name).await?;
    }
    let url_of = |role: &str| cluster.url(Node::Worker1, role, cell.name);
    cell.restart(ServiceKind::ReadApi, url_of).await?;
    cell.restart(ServiceKind::WriteApi, url_of).await?;
    for order in &orders {
        let (status, body) =
            cell.step(order, "ship", &json!({"carrier": "DHL", "tracking_number": "1"})).await?;
        ensure!(status == StatusCode::OK, "{body}");
    }
    cell.restart(ServiceKind::Projector, url_of).await?;
    ensure!(cell.list(ORDERS, "shipped").await? == orders.iter().cloned().collect(), "not all are shipped");
    let events = cell.feed(3 * ORDERS).await?;
    ensure!(cell.sent(3 * ORDERS).await? == events, "the webhook has sent other events");
    let page = cell.page("?limit=1000").await.map_err(anyhow::Error::msg)?;
    let version = |event: &Value| event.pointer("/data/order/version").and_then(Value::as_i64);
    Ok(events_of(&page).iter().filter_map(version).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_stay_in_order_on_a_worker_with_lower_ids_and_none_is_lost_if_the_ids_are_not_continued()
-> Result<()> {
    let Some(cluster) = CitusCluster::start().await? else { return Ok(()) };
    let expected = [[1; ORDERS], [2; ORDERS], [3; ORDERS]].concat();
    let cell = start_cell(&cluster, "cell_01", Node::Worker2).await?;
    assert_eq!(versions_across_a_move(&cluster, &cell, true).await?, expected);
    drop(cell);
    let cell = start_cell(&cluster, "cell_02", Node::Worker2).await?;
    let mut versions = versions_across_a_move(&cluster, &cell, false).await?;
    versions.sort_unstable();
    assert_eq!(versions, expected);
    Ok(())
}

async fn next_with_orders(stream: &mut OrderStream) -> Result<StreamEvent> {
    loop {
        let event = stream.next_event().await?.context("the stream ended")?;
        if !versions_in(&event.data).is_empty() {
            return Ok(event);
        }
    }
}

/// An earlier resume point is higher than the ids of the transactions in which the order was changed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_shows_what_was_changed_while_the_cell_was_on_another_worker() -> Result<()> {
    let Some(cluster) = CitusCluster::start().await? else { return Ok(()) };
    let session = cluster.connect(Node::Worker2).await?;
    for _ in 0..2_000 {
        session.batch_execute("SELECT pg_current_xact_id()").await?;
    }
    let cell = start_cell(&cluster, "cell_01", Node::Worker2).await?;
    let order = id_of(&cell.place("before").await?)?;
    cell.list(1, "placed").await?;
    let client = Client::new();
    let mut stream = OrderStream::open(&client, &cell.read_url(), CUSTOMER, None).await?;
    let first = next_with_orders(&mut stream).await?;
    assert_eq!(versions_in(&first.data), [(order.clone(), 1)]);

    for worker in [Node::Worker1, Node::Worker2] {
        cluster.move_cell("cell_01", worker).await?;
        cluster.continue_ids("cell_01").await?;
        cell.roll(|role| cluster.url(worker, role, "cell_01")).await?;
        assert_eq!(
            cell.pay(&order).await?,
            StatusCode::OK,
            "the second one is a repeat, which changes nothing"
        );
        cell.list(1, "paid").await?;
    }
    let mut stream = OrderStream::open(&client, &cell.read_url(), CUSTOMER, first.id.as_deref()).await?;
    let next = next_with_orders(&mut stream).await?;
    assert_eq!(versions_in(&next.data), [(order, 2)], "{}", stream.text());
    Ok(())
}
