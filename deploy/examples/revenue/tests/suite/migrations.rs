//! The example's migration, and its way back.

use anyhow::{Context, Result, ensure};
use projector::projection::Projection;
use projector::subscription::{Handled, Progress};
use revenue::projection::RevenueByMonth;
use testkit::test_database::TestDatabase;

use crate::orders::{Order, sums};
use crate::support::{Scene, migrations};

/// The schema and its grants, from `pg_dump`; only of these schemas if any are named.
fn dump(database: &TestDatabase, schemas: &[&str]) -> Result<String> {
    let mut program = database.program("pg_dump");
    program.arg("--schema-only").args(schemas.iter().map(|schema| format!("--schema={schema}")));
    let dump = program.output().context("pg_dump")?;
    ensure!(dump.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dump.stderr));
    let text = String::from_utf8(dump.stdout)?;
    // Newer versions of pg_dump print a random token.
    Ok(text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn the_way_back_leaves_what_was_there_before_and_the_product_is_never_changed() -> Result<()> {
    let database = TestDatabase::create().await?;
    let (url, migrations) = (database.superuser_url(), migrations()?);
    let product = dump(&database, &["public"])?;
    // An empty schema with an empty history stays.
    migrations.pending(&url).await?;
    let before = dump(&database, &[])?;
    assert_eq!(migrations.up(&url).await?.len(), 3);
    let full = dump(&database, &[])?;
    assert_eq!(
        dump(&database, &["public"])?,
        product,
        "no table, column, trigger or grant of the product changes"
    );
    assert_eq!(migrations.down(&url, usize::MAX).await?.len(), 3);
    assert_eq!(dump(&database, &[])?, before);
    migrations.up(&url).await?;
    assert_eq!(dump(&database, &[])?, full);
    Ok(())
}

#[tokio::test]
async fn after_the_way_back_and_up_again_the_read_model_is_filled_from_the_oldest_event() -> Result<()> {
    let scene = Scene::create().await?;
    let order = Order::paid(1, "2026-11-23T23:59:59Z", 200);
    scene.emit(&order.events()).await?;
    scene.log_all().await?;
    for _ in 0..2 {
        scene.subscribe(RevenueByMonth.name()).await?;
        let progress = scene.steps(RevenueByMonth)?.run_once(10).await?;
        assert!(matches!(progress, Progress::Handled(Handled { events: 2, .. })), "{progress:?}");
        assert_eq!(scene.sums("revenue_1").await?, sums([&order]));
        migrations()?.down(&scene.database.superuser_url(), usize::MAX).await?;
        assert_eq!(scene.number("SELECT count(*) FROM subscriptions").await?, 0);
        migrations()?.up(&scene.database.superuser_url()).await?;
    }
    Ok(())
}
