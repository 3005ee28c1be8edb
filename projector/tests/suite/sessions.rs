//! Sessions that are spoilt while the projector runs.

use std::time::Duration;

use anyhow::Result;
use local::test_database::TestDatabase;
use local::wait;
use projector::{Config, Projector};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{Scene, event};

/// From the change of a column to the projection of the next event, on a machine that others load.
const SOON: Duration = Duration::from_secs(3);

fn start(database_url: &str) -> Result<DropGuard> {
    let vars = [("DATABASE_URL", database_url), ("ADMIN_PORT", "0"), ("PARKED_RETRY_FIRST_MS", "1")];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let stop = CancellationToken::new();
    let projector = Projector::start(&Config::from_vars(&vars)?, projector::projections(), stop.clone())?;
    tokio::spawn(projector.run());
    Ok(stop.drop_guard())
}

/// Has an order projected, and an unknown event parked.
async fn project_and_park(scene: &Scene, number: u128) -> Result<()> {
    let expected = i64::try_from(number)?;
    scene.emit([event(number, 1)]).await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    wait::until("the next event to be projected and one to be parked", SOON, || async {
        let counts = (scene.count("order_summary").await, scene.count("parked_events").await);
        if matches!(counts, (Ok(s), Ok(p)) if s == expected && p == expected) { Ok(()) } else { Err(counts) }
    })
    .await?;
    Ok(())
}

/// Types with the same wire format, for every column that is read or written; identity columns cannot have a domain.
const CHANGES: &[(&str, &str, &str)] = &[
    ("outbox", "kind", "varchar(64)"),
    ("outbox", "payload", "domain_json"),
    ("outbox", "created_at", "timestamptz(6)"),
    ("order_summary", "last_item_sku", "varchar(64)"),
    ("order_summary", "customer_id", "varchar(128)"),
    ("order_summary", "status", "varchar(20)"),
    ("order_summary", "placed_at", "timestamptz(6)"),
    ("order_summary", "total_cents", "domain_bigint"),
    ("order_summary", "item_count", "domain_integer"),
    ("order_summary", "version", "domain_integer"),
    ("order_summary", "projected_at", "timestamptz(6)"),
    ("order_summary", "changed_in", "domain_bigint"),
    ("order_summary", "order_id", "domain_uuid"),
    ("parked_events", "id", "domain_bigint"),
    ("parked_events", "kind", "varchar(64)"),
    ("parked_events", "payload", "domain_json"),
    ("parked_events", "created_at", "timestamptz(6)"),
    ("parked_events", "attempts", "domain_integer"),
    ("parked_events", "error", "varchar(5000)"),
    ("parked_events", "next_attempt_at", "timestamptz(6)"),
];

#[tokio::test]
async fn a_changed_column_type_stops_no_projection_for_longer_than_a_moment() -> Result<()> {
    let scene = Scene::create().await?;
    for name in ["bigint", "integer", "uuid", "json"] {
        scene.session.batch_execute(&format!("CREATE DOMAIN domain_{name} AS {name}")).await?;
    }
    let _stop = start(&scene.database.url("orders_projector"))?;
    for (number, (table, column, new_type)) in (1..).zip(CHANGES) {
        project_and_park(&scene, number).await?;
        scene
            .session
            .batch_execute(&format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {new_type}"))
            .await?;
    }
    project_and_park(&scene, u128::try_from(CHANGES.len())? + 1).await
}

#[tokio::test]
async fn statements_that_are_discarded_in_every_session_stop_no_projection() -> Result<()> {
    let database = TestDatabase::create().await?;
    let (proxy, url) = database.behind_a_proxy("orders_projector").await?;
    let session = database.connect().await?;
    let scene = Scene { database, session };
    let _stop = start(&url)?;
    for number in 1..6 {
        project_and_park(&scene, number).await?;
        proxy.discard_all();
    }
    project_and_park(&scene, 6).await
}
