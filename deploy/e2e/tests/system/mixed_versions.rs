//! The binaries of the previous release and of this build on one database, as during a roll-out.
//! `.ci/mixed-versions` builds the previous ones and names their directory in `PREVIOUS_BINARIES`.

mod fleet;
mod load;
mod told;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::services::{ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::wait;

use self::fleet::{Build, Fleet};
use self::load::{Load, WriteApi};
use self::told::Told;

/// The last migration of the previous release.
const LAST_MIGRATION: &str = "20261126000400";

/// Limit for the events of a test to be applied.
const APPLIED_LIMIT: Duration = Duration::from_secs(30);

/// `None`, with a message, if there are no previous binaries and none are required.
fn previous_binaries() -> Result<Option<ServiceBinaries>> {
    if let Some(dir) = std::env::var_os("PREVIOUS_BINARIES") {
        return Ok(Some(ServiceBinaries::in_dir(PathBuf::from(dir), &ServiceKind::ALL)?));
    }
    ensure!(std::env::var_os("REQUIRE_PREVIOUS").is_none(), "PREVIOUS_BINARIES is not set");
    writeln!(std::io::stderr(), "skipped: PREVIOUS_BINARIES names no binaries of the previous release")?;
    Ok(None)
}

/// Waits until all events are applied, and each summary has the state of its order. None may be parked.
async fn wait_until_applied(database: &TestDatabase) -> Result<()> {
    let query = "SELECT
        (SELECT count(*) FROM outbox), (SELECT count(*) FROM waiting_events), (SELECT count(*) FROM parked_events),
        (SELECT count(*) FROM orders o FULL JOIN order_summary s USING (order_id)
         WHERE (o.customer_id, o.total_cents, o.status, o.version, o.placed_at, jsonb_array_length(o.items),
                o.items->-1->>'sku')
             IS DISTINCT FROM
             (s.customer_id, s.total_cents, s.status, s.version, s.placed_at, s.item_count, s.last_item_sku))";
    let session = database.connect().await?;
    wait::until("all events to be applied", APPLIED_LIMIT, || async {
        let row = session.query_one(query, &[]).await.map_err(|error| error.to_string())?;
        let counts: [i64; 4] = [0, 1, 2, 3].map(|column| row.get(column));
        if counts == [0; 4] {
            Ok(())
        } else {
            Err(format!("outbox, waiting, parked, differing summaries: {counts:?}"))
        }
    })
    .await?;
    Ok(())
}

async fn get(url: &str) -> Result<Value> {
    let response = reqwest::get(url).await?.error_for_status().with_context(|| url.to_owned())?;
    Ok(response.json().await?)
}

/// Each order's detail shows all data that write-api received, in either build.
async fn check_details(read_url: &str, told: &[Told]) -> Result<()> {
    for order in told {
        let response =
            reqwest::get(format!("{read_url}/orders/{}", order.id()?)).await?.error_for_status()?;
        ensure!(response.headers().contains_key("etag"), "no ETag for {order:?}");
        order.compare(&response.json().await?)?;
    }
    Ok(())
}

/// All orders of a customer, in the sequence of the list. Each page comes from the next read-api, as behind a load
/// balancer.
async fn list(read_urls: &[&str], customer: &str) -> Result<Vec<Value>> {
    let (mut orders, mut query) = (Vec::new(), String::new());
    for url in read_urls.iter().cycle() {
        let page = get(&format!("{url}/customers/{customer}/orders?limit=10{query}")).await?;
        orders.extend(page.get("orders").and_then(Value::as_array).context("no orders")?.iter().cloned());
        let Some(cursor) = page.get("next_cursor").and_then(Value::as_str) else { break };
        query = format!("&cursor={cursor}");
    }
    Ok(orders)
}

/// Each read-api lists every order that was placed; they list the same, and continue each other's pages.
async fn check_lists(read_urls: &[&str], told: &[Told]) -> Result<()> {
    let customers: BTreeSet<_> = told.iter().map(Told::customer).collect::<Result<_>>()?;
    for customer in customers {
        let behind_one_address = list(read_urls, customer).await?;
        let expected: BTreeSet<_> = told
            .iter()
            .filter(|order| order.customer().is_ok_and(|found| found == customer))
            .map(Told::id)
            .collect::<Result<_>>()?;
        let listed = behind_one_address.iter().map(|order| told::text(order, "order_id"));
        assert_eq!(listed.collect::<Result<BTreeSet<_>>>()?, expected, "{customer}");
        assert_eq!(behind_one_address.len(), expected.len(), "{customer}");
        for url in read_urls {
            assert_eq!(list(&[url], customer).await?, behind_one_address, "{customer}");
        }
    }
    Ok(())
}

/// Reverts the migrations that the previous release does not have.
async fn revert_new_migrations(database: &TestDatabase) -> Result<()> {
    let count = "SELECT count(*) FROM __diesel_schema_migrations WHERE version > $1";
    let count: i64 = database.connect().await?.query_one(count, &[&LAST_MIGRATION]).await?.get(0);
    migrate::down(&database.superuser_url(), usize::try_from(count)?).await?;
    Ok(())
}

#[tokio::test]
async fn an_old_write_api_works_with_a_new_projector_and_read_api() -> Result<()> {
    let Some(previous) = previous_binaries()? else { return Ok(()) };
    let fleet = Fleet::new(TestDatabase::create().await?, previous).await?;
    let write = fleet.start(ServiceKind::WriteApi, Build::Previous).await?;
    let _projector = fleet.start(ServiceKind::Projector, Build::Current).await?;
    let read = fleet.start(ServiceKind::ReadApi, Build::Current).await?;

    let load = Load::start(vec![WriteApi::new(Build::Previous, write.url())]);
    load.wait_for_orders(150).await?;
    let told = load.stop().await?;
    wait_until_applied(&fleet.database).await?;
    check_details(read.url(), &told).await?;
    for build in [Build::Previous, Build::Current] {
        fleet.republish(build).await?;
        wait_until_applied(&fleet.database).await?;
        check_details(read.url(), &told).await.context(format!("republished by {build:?}"))?;
    }
    check_lists(&[read.url()], &told).await
}

#[tokio::test]
async fn a_new_write_api_works_with_an_old_projector_and_read_api() -> Result<()> {
    let Some(previous) = previous_binaries()? else { return Ok(()) };
    let fleet = Fleet::new(TestDatabase::create().await?, previous).await?;
    let write = fleet.start(ServiceKind::WriteApi, Build::Current).await?;
    let projector = fleet.start(ServiceKind::Projector, Build::Previous).await?;
    let read = fleet.start(ServiceKind::ReadApi, Build::Previous).await?;

    let load = Load::start(vec![WriteApi::new(Build::Current, write.url())]);
    load.wait_for_orders(150).await?;
    let told = load.stop().await?;
    wait_until_applied(&fleet.database).await?;
    check_details(read.url(), &told).await?;
    check_lists(&[read.url()], &told).await?;

    fleet::stop(projector).await?;
    let _projector = fleet.start(ServiceKind::Projector, Build::Current).await?;
    let new_read = fleet.start(ServiceKind::ReadApi, Build::Current).await?;
    fleet.republish(Build::Current).await?;
    wait_until_applied(&fleet.database).await?;
    check_details(new_read.url(), &told).await?;
    check_lists(&[read.url(), new_read.url()], &told).await
}

#[tokio::test]
async fn a_roll_out_under_load_loses_nothing() -> Result<()> {
    let Some(previous) = previous_binaries()? else { return Ok(()) };
    let database = TestDatabase::create().await?;
    revert_new_migrations(&database).await?;
    let fleet = Fleet::new(database, previous).await?;
    let mut old = Vec::new();
    for kind in ServiceKind::ALL {
        old.push(fleet.start(kind, Build::Previous).await?);
    }
    let load = Load::start(vec![WriteApi::new(Build::Previous, old[0].url())]);
    load.wait_for_orders(50).await?;

    // The migrator may give up on a lock; it is run again, as its message says.
    let migrating = wait::until("the migrations", Duration::from_mins(1), || async {
        migrate::up(&fleet.database.superuser_url())
            .await
            .map_err(|error| service_kit::telemetry::chain(&error))
    });
    migrating.await?;
    load.wait_for_orders(50).await?;
    let mut new = Vec::new();
    for kind in ServiceKind::ALL {
        new.push(fleet.start(kind, Build::Current).await?);
    }
    let old_and_new =
        vec![WriteApi::new(Build::Previous, old[0].url()), WriteApi::new(Build::Current, new[0].url())];
    load.send_to(old_and_new);
    load.wait_for_orders(400).await?;
    load.send_to(vec![WriteApi::new(Build::Current, new[0].url())]);
    load.wait_for_orders(50).await?;
    let told = load.stop().await?;
    wait_until_applied(&fleet.database).await?;
    check_lists(&[old[2].url(), new[2].url()], &told).await?;

    check_details(old[2].url(), &told).await?;

    for service in old {
        fleet::stop(service).await?;
    }
    fleet.republish(Build::Current).await?;
    wait_until_applied(&fleet.database).await?;
    check_details(new[2].url(), &told).await?;
    let both = told.iter().filter(|order| order.was_told_to_both()).count();
    println!("{} orders, {both} told to both builds", told.len());
    assert!(both > 50, "both builds received steps of {both} orders");
    check_lists(&[new[2].url()], &told).await
}
