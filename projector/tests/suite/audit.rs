//! The projector finds acknowledged orders that are lost.

use anyhow::Result;
use projector::{Config, Projector};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::metrics::until_metric;
use crate::support::{Scene, event, order_id};

const LOST: &str = "orders_audit_lost_orders";

#[derive(Debug, PartialEq, Eq)]
struct Page {
    up_to: Option<Uuid>,
    checked: i32,
    lost: Vec<Uuid>,
}

/// A page up to this order, of so many, of which these are lost.
fn page(up_to: Uuid, checked: i32, lost: &[u128]) -> Page {
    Page { up_to: Some(up_to), checked, lost: lost.iter().map(|number| order_id(*number)).collect() }
}

impl Scene {
    /// What write-api stores besides the event.
    async fn store_order(&self, order: u128, version: i32) -> Result<()> {
        let insert = "INSERT INTO orders
                          (order_id, customer_id, items, total_cents, status, version, placed_at, updated_at)
                      VALUES ($1::text::uuid, 'customer', '[{}]', 1,
                          CASE $2::int WHEN 1 THEN 'placed' ELSE 'paid' END, $2, now(), now())
                      ON CONFLICT (order_id) DO UPDATE SET version = excluded.version, status = excluded.status";
        self.session.execute(insert, &[&order_id(order).to_string(), &version]).await?;
        Ok(())
    }

    /// The end of a page of `most` orders, how many it has, and those that are lost, as the projector's role sees it.
    async fn find_lost(&self, after: Uuid, most: i32) -> Result<Page> {
        let session = self.database.connect_as("orders_projector").await?;
        let find = "SELECT last::text, checked, array_to_string(lost, ' ')
                    FROM find_lost_orders($1::text::uuid, 0, $2)";
        let row = session.query_one(find, &[&after.to_string(), &most]).await?;
        let up_to: Option<&str> = row.get(0);
        let lost = row.get::<_, Option<&str>>(2).unwrap_or_default();
        let mut lost = lost.split_whitespace().map(Uuid::parse_str).collect::<Result<Vec<_>, _>>()?;
        lost.sort();
        Ok(Page { up_to: up_to.map(Uuid::parse_str).transpose()?, checked: row.get(1), lost })
    }

    /// The event of this order moves from the outbox to another table.
    async fn move_events(&self, table: &str) -> Result<()> {
        let columns = match table {
            "parked_events" => "id, kind, payload, created_at, attempts, error, next_attempt_at",
            _ => "id, order_id, version, kind, payload, created_at",
        };
        let values = match table {
            "parked_events" => "id, kind, payload, created_at, 12, 'it is refused', NULL".to_owned(),
            _ => format!("id, '{}', 1, kind, payload, created_at", order_id(1)),
        };
        let moving = format!(
            "WITH moved AS (DELETE FROM outbox RETURNING *) INSERT INTO {table} ({columns}) SELECT {values} FROM moved"
        );
        Ok(self.session.batch_execute(&moving).await?)
    }
}

#[tokio::test]
async fn an_order_that_is_on_its_way_to_the_read_model_is_not_lost_and_any_other_is() -> Result<()> {
    let scene = Scene::create().await?;
    scene.store_order(1, 1).await?;
    assert_eq!(scene.find_lost(Uuid::nil(), 10).await?, page(Uuid::max(), 1, &[1]));
    for table in ["outbox", "parked_events", "waiting_events"] {
        scene.emit([event(1, 1)]).await?;
        if table != "outbox" {
            scene.move_events(table).await?;
        }
        assert_eq!(scene.find_lost(Uuid::nil(), 10).await?, page(Uuid::max(), 1, &[]), "{table}");
        scene.session.batch_execute(&format!("DELETE FROM {table}")).await?;
        assert_eq!(
            scene.find_lost(Uuid::nil(), 10).await?,
            page(Uuid::max(), 1, &[1]),
            "no longer in {table}"
        );
    }
    // Behind another order's event.
    scene.emit([event(2, 1)]).await?;
    assert_eq!(scene.find_lost(Uuid::nil(), 10).await?, page(Uuid::max(), 1, &[1]));
    Ok(())
}

#[tokio::test]
async fn pages_follow_one_another_and_nothing_is_said_while_too_much_is_not_projected() -> Result<()> {
    let scene = Scene::create().await?;
    for order in 1..=3 {
        scene.store_order(order, 1).await?;
    }
    assert_eq!(scene.find_lost(Uuid::nil(), 2).await?, page(order_id(2), 2, &[1, 2]));
    assert_eq!(scene.find_lost(order_id(2), 2).await?, page(Uuid::max(), 1, &[3]));
    assert_eq!(scene.find_lost(order_id(3), 2).await?, page(Uuid::max(), 0, &[]));
    let many = "INSERT INTO outbox (kind, payload) SELECT 'kind', '{}' FROM generate_series(1, 5001)";
    scene.session.batch_execute(many).await?;
    assert_eq!(scene.find_lost(Uuid::nil(), 2).await?.up_to, None);
    Ok(())
}

#[tokio::test]
async fn the_gauge_counts_lost_orders_until_they_are_repaired() -> Result<()> {
    let scene = Scene::create().await?;
    // The first is complete. The second version of the next and the third order have no event, the fourth no order.
    for (order, version) in [(1, 1), (2, 2), (3, 1)] {
        scene.store_order(order, version).await?;
    }
    scene.emit([event(1, 1), event(2, 1), event(4, 1)]).await?;
    let stop = CancellationToken::new();
    let projector =
        Projector::start(&Config::from_vars(&scene.vars())?, projector::projections(), stop.clone())?;
    let address = projector.address();
    let running = tokio::spawn(projector.run());
    until_metric(address, LOST, |lost| lost == 3.0).await?;
    until_metric(address, "orders_audit_orders_checked_total", |checked| checked >= 3.0).await?;

    scene.emit([event(2, 2), event(3, 1)]).await?;
    until_metric(address, LOST, |lost| lost == 1.0).await?;
    scene.store_order(4, 1).await?;
    until_metric(address, LOST, |lost| lost == 0.0).await?;
    stop.cancel();
    running.await??;
    Ok(())
}
