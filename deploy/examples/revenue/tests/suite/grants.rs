//! The role of the read service can read its two views, and nothing else.

use anyhow::Result;

use crate::support::Scene;

/// What the role may do with each table and view outside the catalog.
const PRIVILEGES: &str = "
    SELECT DISTINCT c.oid::regclass::text, p
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = relnamespace,
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p
    WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_toast'
        AND relkind IN ('r', 'p', 'v', 'm', 'f')
        AND (has_table_privilege($1::text, c.oid, p)
            OR p IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege($1, c.oid, p))
    ORDER BY 1, 2";

async fn privileges(scene: &Scene, role: &str, schemas: &[&str]) -> Result<Vec<String>> {
    let rows = scene.session.query(PRIVILEGES, &[&role]).await?;
    let rows = rows.iter().map(|row| format!("{} {}", row.get::<_, &str>(1), row.get::<_, &str>(0)));
    Ok(rows.filter(|row| schemas.is_empty() || schemas.iter().any(|schema| row.contains(schema))).collect())
}

#[tokio::test]
async fn the_read_service_can_read_its_two_views_and_nothing_else() -> Result<()> {
    let scene = Scene::create().await?;
    let views = ["SELECT revenue.by_month", "SELECT revenue.by_sku"];
    for role in ["orders_revenue", "orders_revenue_b"] {
        assert_eq!(privileges(&scene, role, &[]).await?, views);
        let session = scene.database.connect_as(role).await?;
        session.query("SELECT FROM revenue.by_month, revenue.by_sku", &[]).await?;
        for (setting, expected) in [
            ("statement_timeout", "1min"),
            ("lock_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "1min"),
            ("default_transaction_read_only", "on"),
        ] {
            let row = session.query_one(&format!("SHOW {setting}"), &[]).await?;
            assert_eq!(row.get::<_, &str>(0), expected, "{role}: {setting}");
        }
        // Read-only is a default, which a session may change: it is the grants that refuse.
        session.batch_execute("SET default_transaction_read_only = off").await?;
        for refused in [
            "SELECT FROM revenue_1.orders",
            "SELECT FROM revenue_1.by_month",
            "SELECT FROM public.order_summary",
            "SELECT FROM public.event_log",
            "DELETE FROM revenue.by_month",
            "SELECT revenue.show('revenue_1')",
            "CREATE TABLE public.mine (id int)",
            "CREATE TABLE revenue.mine (id int)",
        ] {
            let error = session.batch_execute(refused).await.expect_err(refused);
            let message = error.as_db_error().map(|error| error.message().to_owned()).unwrap_or_default();
            assert!(message.contains("permission denied"), "{refused}: {message}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn of_the_product_only_the_projector_can_use_the_tables() -> Result<()> {
    let scene = Scene::create().await?;
    let own = ["revenue.", "revenue_1."];
    for role in ["orders_write_api", "orders_read_api"] {
        assert_eq!(privileges(&scene, role, &own).await?, [""; 0], "{role}");
    }
    let projector = privileges(&scene, "orders_projector", &own).await?;
    assert_eq!(projector.len(), 9, "SELECT, INSERT and UPDATE on three tables: {projector:?}");
    let session = scene.database.connect_as("orders_projector").await?;
    assert!(session.batch_execute("SELECT revenue.show('revenue_1')").await.is_err());
    Ok(())
}
