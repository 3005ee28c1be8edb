//! `order_summary` does not depend on the example: no statement of its path touches the example's tables.

use anyhow::Result;
use projector::{Config, Projector, ReadModels};
use revenue::projection::RevenueByMonth;
use testkit::wait;
use tokio_util::sync::CancellationToken;

use crate::orders::{Order, sums};
use crate::support::{SOON, Scene};

/// A projector with the example, as `revenue-projector` runs it.
fn start(scene: &Scene) -> Result<CancellationToken> {
    let vars = [
        ("DATABASE_URL", scene.database.url("orders_projector")),
        ("ADMIN_PORT", "0".to_owned()),
        ("AUTH", "off".to_owned()),
        ("PORT", "0".to_owned()),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let stop = CancellationToken::new();
    let read_models = ReadModels::all().and(RevenueByMonth);
    let projector = Projector::start(&Config::from_vars(&vars)?, read_models, stop.clone())?;
    tokio::spawn(projector.run());
    Ok(stop)
}

#[test]
fn the_claim_has_the_read_models_that_it_has_without_the_example() {
    let names = |read_models: &ReadModels| -> Vec<_> {
        read_models.claimed.iter().map(|read_model| read_model.name()).collect()
    };
    let with = ReadModels::all().and(RevenueByMonth);
    assert_eq!(names(&with), names(&ReadModels::all()));
    assert_eq!(with.subscribed.len(), ReadModels::all().subscribed.len() + 1);
}

/// A statement that touched a locked table would wait, and its batch would fail.
#[tokio::test]
async fn orders_are_projected_while_all_tables_of_the_example_are_locked() -> Result<()> {
    let scene = Scene::create().await?;
    let mut locks = scene.database.connect().await?;
    let locked = locks.transaction().await?;
    let tables = "LOCK TABLE revenue_1.orders, revenue_1.by_month, revenue_1.by_sku IN ACCESS EXCLUSIVE MODE";
    locked.batch_execute(tables).await?;
    let _stop = start(&scene)?.drop_guard();
    let orders: Vec<_> = (1..=20).map(|id| Order::paid(id, "2026-11-23T10:00:00Z", 100)).collect();
    for order in &orders {
        scene.emit(&order.events()).await?;
    }
    wait::until("the orders to be projected", SOON, || async {
        match scene.number("SELECT count(*) FROM order_summary WHERE version = 2").await {
            Ok(20) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    assert_eq!(scene.number("SELECT count(*) FROM parked_events").await?, 0);
    assert_eq!(scene.number("SELECT count(*) FROM waiting_events").await?, 0);

    locked.rollback().await?;
    let expected = sums(&orders);
    wait::until("the sums", SOON, || async {
        match scene.sums("revenue_1").await {
            Ok(found) if found == expected => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}
