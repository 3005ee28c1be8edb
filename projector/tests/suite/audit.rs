//! The projector finds acknowledged orders that are lost.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use projector::{Config, Projector, ProjectorError};
use testkit::golden::Golden;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::metrics::{metric, until_metric};
use crate::support::{Scene, drain, event, order_id};

const GOLDEN: Golden = Golden::new(env!("CARGO_MANIFEST_DIR"));

const LOST: &str = "orders_audit_lost_orders";
const CHECKED: &str = "orders_audit_orders_checked_total";
const PAGES: &str = "orders_audit_pages_total";

type Running = JoinHandle<Result<(), ProjectorError>>;

#[derive(Debug, PartialEq, Eq)]
struct Page {
    up_to: Option<Uuid>,
    checked: i32,
    lost: Vec<Uuid>,
    versions: Vec<i32>,
}

/// A page up to this order, of so many, of which these are lost, each with its first version.
fn page(up_to: Uuid, checked: i32, lost: &[u128]) -> Page {
    let versions = lost.iter().map(|_| 1).collect();
    Page {
        up_to: Some(up_to),
        checked,
        lost: lost.iter().map(|number| order_id(*number)).collect(),
        versions,
    }
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
        let find = "SELECT last::text, checked, array_to_string(lost, ' '), versions
                    FROM find_lost_orders($1::text::uuid, 0, $2)";
        let row = session.query_one(find, &[&after.to_string(), &most]).await?;
        let up_to: Option<&str> = row.get(0);
        let lost = row.get::<_, Option<&str>>(2).unwrap_or_default();
        let lost = lost.split_whitespace().map(Uuid::parse_str).collect::<Result<Vec<_>, _>>()?;
        let (checked, versions) = (row.get(1), row.get::<_, Option<Vec<i32>>>(3).unwrap_or_default());
        Ok(Page { up_to: up_to.map(Uuid::parse_str).transpose()?, checked, lost, versions })
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
async fn a_lost_order_has_its_version_and_a_summary_without_an_order_that_of_the_summary() -> Result<()> {
    let scene = Scene::create().await?;
    for (order, version) in [(1, 1), (3, 2), (5, 1)] {
        scene.store_order(order, version).await?;
    }
    scene.emit([event(1, 1), event(2, 3), event(3, 1)]).await?;
    drain(scene.worker(10)?.as_ref()).await?;
    let found = scene.find_lost(Uuid::nil(), 10).await?;
    let expected = (vec![order_id(2), order_id(3), order_id(5)], vec![3, 2, 1]);
    assert_eq!((found.lost, found.versions), expected);
    Ok(())
}

/// What the server says of the statements within the function, as its operators would see it.
#[tokio::test]
async fn the_function_searches_by_key_and_reads_a_page_once() -> Result<()> {
    let scene = Scene::create().await?;
    scene.store_order(1, 1).await?;
    let explain = "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0;
                   SET auto_explain.log_nested_statements = on; SET auto_explain.log_level = notice;
                   SET plan_cache_mode = force_generic_plan;
                   SELECT * FROM find_lost_orders('00000000-0000-0000-0000-000000000000', 1, 200)";
    let output = scene.database.program("psql").args(["-X", "-q", "-c", explain]).output()?;
    let text = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{text}");
    let is_of_plan = |line: &&str| {
        let condition = ["Index Cond: ", "Filter: ", "Join Filter: ", "Sort Key: ", "One-Time Filter: "];
        line.contains("  (cost=") || condition.iter().any(|name| line.trim_start().starts_with(name))
    };
    let without_cost = |line: &str| line.split("  (cost=").next().unwrap_or_default().to_owned();
    let plan: Vec<_> = text.lines().filter(is_of_plan).map(without_cost).collect();
    // These two tables are read only after their rows were counted, up to 5000.
    let is_small = |line: &String| line.ends_with("on waiting_events") || line.ends_with("on parked_events");
    for node in ["Seq Scan", "Hash Join", "Merge Join", "Bitmap"] {
        let bad = plan.iter().find(|line| line.contains(node) && !is_small(line));
        assert_eq!(bad, None, "{plan:#?}");
    }
    let reads = plan.iter().filter(|line| line.contains("using orders_pkey")).count();
    assert_eq!(reads, 2, "a page, and the orders of its summaries: {plan:#?}");
    let major: String = scene.session.query_one("SHOW server_version_num", &[]).await?.get(0);
    Ok(GOLDEN.compare_plan("find_lost_orders.plan", &plan.join("\n"), major.parse::<i32>()? / 10_000)?)
}

/// A projector that runs until it is stopped.
fn run_with(scene: &Scene, orders_per_s: &str) -> Result<(SocketAddr, CancellationToken, Running)> {
    let mut vars = scene.vars();
    vars.push(("AUDIT_ORDERS_PER_S".to_owned(), orders_per_s.to_owned()));
    let stop = CancellationToken::new();
    let projector = Projector::start(&Config::from_vars(&vars)?, projector::projections(), stop.clone())?;
    Ok((projector.address(), stop, tokio::spawn(projector.run())))
}

#[tokio::test]
async fn its_rate_is_configured_and_zero_switches_it_off() -> Result<()> {
    let scene = Scene::create().await?;
    for order in 1..=9 {
        scene.store_order(order, 1).await?;
    }
    let (address, stop, running) = run_with(&scene, "2")?;
    until_metric(address, PAGES, |pages| pages >= 2.0).await?;
    let checked = metric(address, CHECKED).await?;
    assert!(checked <= 2.0 * metric(address, PAGES).await?, "{checked}");
    stop.cancel();
    running.await??;

    let (address, stop, running) = run_with(&scene, "0")?;
    scene.emit([event(10, 1)]).await?;
    until_metric(address, "orders_projector_events_applied_total", |events| events == 1.0).await?;
    assert!(metric(address, LOST).await.is_err(), "a process that checks nothing has no gauge");
    assert_eq!(metric(address, PAGES).await?, 0.0);
    stop.cancel();
    running.await??;
    Ok(())
}

/// Orders that an earlier process has found lost may not have been reached yet.
#[tokio::test]
async fn nothing_is_said_until_all_orders_were_checked() -> Result<()> {
    let scene = Scene::create().await?;
    for order in 1..=4 {
        scene.store_order(order, 1).await?;
    }
    scene.emit((1..=4).map(|order| event(order, 1))).await?;
    drain(scene.worker(100)?.as_ref()).await?;
    let (address, stop, running) = run_with(&scene, "1")?;
    // Five pages at least.
    let (lost, pages) = (metric(address, LOST).await?, metric(address, PAGES).await?);
    assert!(pages > 4.0 || lost.is_nan(), "{lost} after {pages} pages");
    until_metric(address, LOST, |lost| lost == 0.0).await?;
    assert!(metric(address, PAGES).await? > 4.0);
    stop.cancel();
    running.await??;
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
    until_metric(address, CHECKED, |checked| checked >= 3.0).await?;

    scene.emit([event(2, 2), event(3, 1)]).await?;
    until_metric(address, LOST, |lost| lost == 1.0).await?;
    scene.store_order(4, 1).await?;
    until_metric(address, LOST, |lost| lost == 0.0).await?;
    stop.cancel();
    running.await??;
    Ok(())
}
