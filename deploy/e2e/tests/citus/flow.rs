//! What a cell does on the worker that owns it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::cell::{CellScene, id_of};
use testkit::citus::{CitusCluster, Node};
use testkit::services::{ServiceBinaries, ServiceKind};
use testkit::wait;

use crate::start_cell;

const LIMIT: Duration = Duration::from_secs(30);
const ORDERS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_takes_all_of_its_steps_and_all_that_listens_follows() -> Result<()> {
    let Some(cluster) = CitusCluster::start().await? else { return Ok(()) };
    let cell = start_cell(&cluster, "cell_01", Node::Worker1).await?;
    let (paid, _) = cell.trade(ORDERS).await?;
    let mut paid = paid.into_iter();
    let (delivered, cancelled) = (paid.next().context("no order")?, paid.next().context("no order")?);

    let shipment = json!({"carrier": "DHL", "tracking_number": "JD01"});
    step(&cell, &delivered, "ship", &shipment).await?;
    step(&cell, &delivered, "deliver", &json!({})).await?;
    step(&cell, &cancelled, "cancel", &json!({"reason": "late"})).await?;
    let (status, _) = cell.step(&cancelled, "ship", &shipment).await?;
    assert_eq!(status, StatusCode::CONFLICT, "it is cancelled");

    let (status, order) = cell.get_waiting(&format!("/orders/{delivered}?min_version=4")).await?;
    assert_eq!((status, order.get("status")), (StatusCode::OK, Some(&json!("delivered"))), "{order}");
    assert_eq!(order.pointer("/shipment/carrier").or(order.get("carrier")), Some(&json!("DHL")), "{order}");
    for list in ["/customers/alice/orders?", "/orders?"] {
        let path = format!("{list}status=cancelled&after={cancelled}:3");
        let (status, list) = cell.get_waiting(&path).await?;
        assert_eq!(status, StatusCode::OK, "{list}");
        let listed = list.pointer("/orders/0/order_id").and_then(Value::as_str);
        assert_eq!(listed, Some(cancelled.as_str()), "{list}");
    }
    let events = 2 * ORDERS + 3;
    assert_eq!(cell.feed(events).await?, cell.sent(events).await?);
    republish(&cluster, &cell).await
}

async fn step(cell: &CellScene, order: &str, step: &str, body: &Value) -> Result<()> {
    let (status, body) = cell.step(order, step, body).await?;
    ensure!(status == StatusCode::OK, "{step}: {status} {body}");
    Ok(())
}

/// Into an empty table.
async fn republish(cluster: &CitusCluster, cell: &CellScene) -> Result<()> {
    let name = cell.name;
    let session = cluster.connect(Node::Worker1).await?;
    session.batch_execute(&format!("DELETE FROM {name}.order_summary")).await?;
    let program = ServiceBinaries::built().await?.program(ServiceKind::WriteApi);
    let mut republish = tokio::process::Command::new(program);
    let url = cluster.url(Node::Worker1, ServiceKind::WriteApi.role(), name);
    let output = republish.arg("republish").env("DATABASE_URL", url).kill_on_drop(true).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let differing = format!(
        "SELECT count(*) FROM {name}.orders AS o LEFT JOIN {name}.order_summary AS s USING (order_id)
         WHERE (o.version, o.status) IS DISTINCT FROM (s.version, s.status)"
    );
    wait::until("the summaries", LIMIT, async || {
        let row = session.query_one(&differing, &[]).await.map_err(|error| error.to_string())?;
        if row.get::<_, i64>(0) == 0 { Ok(()) } else { Err(format!("{} differ", row.get::<_, i64>(0))) }
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_cells_on_two_workers_do_not_see_each_other() -> Result<()> {
    let Some(cluster) = CitusCluster::start().await? else { return Ok(()) };
    let one = start_cell(&cluster, "cell_01", Node::Worker1).await?;
    let two = start_cell(&cluster, "cell_02", Node::Worker2).await?;
    let (in_one, in_two) = tokio::join!(one.trade(ORDERS), two.trade(ORDERS));
    let ((orders_of_one, stream_of_one), (orders_of_two, stream_of_two)) = (in_one?, in_two?);
    assert_eq!(orders_of_one, orders_of_two, "the same keys make the same ids: each cell has its own order");
    assert!(!stream_of_one.contains("cell_02") && !stream_of_two.contains("cell_01"));
    let checkpoint = one.checkpoint().await?;
    assert_eq!(one.go_on(&checkpoint).await?, StatusCode::OK);
    assert_eq!(two.go_on(&checkpoint).await?, StatusCode::BAD_REQUEST, "it is of another cell");
    let only = id_of(&one.place("only in the first").await?)?;
    one.list(1, "placed").await?;
    assert_eq!((one.read(&only).await?, two.read(&only).await?), (StatusCode::OK, StatusCode::NOT_FOUND));
    assert_eq!(two.pay(&only).await?, StatusCode::NOT_FOUND);
    Ok(())
}
