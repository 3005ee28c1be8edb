//! The plans of all statements: each reads by index and in index order.

use anyhow::{Context, Result};
use testkit::golden::Golden;
use tokio_postgres::Client;

use crate::support::Scene;

const GOLDEN: Golden = Golden::new(env!("CARGO_MANIFEST_DIR"));

/// The settings of every session of the projector and of the read service.
const SETTINGS: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off;
                        SET plan_cache_mode = force_generic_plan";

const FILL: &str = "
    INSERT INTO revenue_1.orders (order_id, version, status, total_cents)
    SELECT md5(n::text)::uuid, 1, 'placed', n FROM generate_series(1, 20000) AS n;
    INSERT INTO revenue_1.by_sku SELECT 'SKU-' || n, 1, 1 FROM generate_series(1, 20000) AS n;
    INSERT INTO revenue_1.by_month
    SELECT to_char(date '2016-01-01' + n * interval '1 month', 'YYYY-MM'), currency, 1, 1
    FROM generate_series(1, 120) AS n, unnest(ARRAY['EUR', 'USD', 'GBP']) AS currency;
    ANALYZE";

/// Folder, statement, and arguments.
const STATEMENTS: [(&str, &str, &str); 6] = [
    ("api", "by_month", "'2026-11', '2026-11', 'EUR', 101"),
    ("api", "by_sku", "'SKU-7', 101"),
    ("projection", "orders", "ARRAY[]::uuid[]"),
    (
        "projection",
        "store_orders",
        "ARRAY[]::uuid[], ARRAY[]::int[], ARRAY[]::text[], ARRAY[]::bigint[], ARRAY[]::text[], ARRAY[]::text[],
         ARRAY[]::text[]",
    ),
    ("projection", "add_by_month", "ARRAY[]::text[], ARRAY[]::text[], ARRAY[]::bigint[], ARRAY[]::text[]"),
    ("projection", "add_by_sku", "ARRAY[]::text[], ARRAY[]::bigint[], ARRAY[]::text[]"),
];

/// As diesel prepares it: with the types of the arguments.
async fn plan(session: &Client, sql: &str, name: &str, arguments: &str) -> Result<String> {
    let types = session.query_one(&format!("SELECT {arguments}"), &[]).await?;
    let types: Vec<_> = types.columns().iter().map(|column| column.type_().name().to_owned()).collect();
    session.batch_execute(&format!("PREPARE {name} ({}) AS {sql}", types.join(", "))).await?;
    let rows = session.query(&format!("EXPLAIN (COSTS OFF) EXECUTE {name} ({arguments})"), &[]).await?;
    Ok(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn the_plans_match_the_golden_files_and_scan_no_table() -> Result<()> {
    let scene = Scene::create().await?;
    scene.session.batch_execute(FILL).await?;
    let major = scene.number("SELECT current_setting('server_version_num')::bigint / 10000").await?;
    for (folder, name, arguments) in STATEMENTS {
        let role = if folder == "api" { "orders_revenue" } else { "orders_projector" };
        let session = scene.database.connect_as(role).await?;
        session.batch_execute(SETTINGS).await?;
        let file = format!("{}/src/{folder}/{name}.sql", env!("CARGO_MANIFEST_DIR"));
        let sql = std::fs::read_to_string(&file)?;
        let plan = plan(&session, &sql, name, arguments).await.with_context(|| name.to_owned())?;
        assert!(!plan.contains("Seq Scan") && !plan.contains("Bitmap"), "{name}: {plan}");
        // The rows of a page come from the index in its order.
        assert!(folder != "api" || !plan.contains("Sort"), "{name}: {plan}");
        GOLDEN.compare_plan(&format!("{name}.plan"), &plan, i32::try_from(major)?)?;
    }
    Ok(())
}
