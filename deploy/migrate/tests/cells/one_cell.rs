//! One cell: made, checked, reverted.

use anyhow::{Context, Result, ensure};
use migrate::{Addition, Cell, MigrateError};
use testkit::owned_database::{OwnedDatabase, connect};
use testkit::test_database::TestDatabase;

use crate::support::{database_with, run};

#[tokio::test]
async fn up_makes_the_schema_and_its_tables_only() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    let url = database.superuser_url();
    let said = run(&url, &["up", "--schema", "cell_01"]).await?;
    assert_eq!(said.code, Some(0), "{}", said.reason());
    let again = run(&url, &["--schema", "cell_01", "up"]).await?;
    assert_eq!(again.lines.last().map(|line| &line["message"]), Some(&"nothing to apply".into()));
    let session = database.connect().await?;
    let places = "SELECT DISTINCT relnamespace::regnamespace::text FROM pg_class
                  WHERE relnamespace >= 16384 OR relnamespace = 'public'::regnamespace";
    let places: Vec<String> = session.query(places, &[]).await?.iter().map(|row| row.get(0)).collect();
    assert_eq!(places, ["cell_01"], "no other schema has anything");
    for command in ["status", "doctor"] {
        let said = run(&url, &[command, "--schema", "cell_01"]).await?;
        assert_eq!(said.code, Some(0), "{command}: {}", said.reason());
    }
    Ok(())
}

/// As in production: its owner is no superuser, and `public` is not the owner's.
#[tokio::test]
async fn an_owner_who_is_no_superuser_makes_cells_that_the_roles_can_use() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    for schema in ["cell_01", "order"] {
        Cell::new(schema)?.up(&owned.url()).await.context(schema)?;
        let report = Cell::new(schema)?.doctor(&owned.url()).await?;
        ensure!(!report.has_errors(), "{schema}: {report}");
        let path =
            |role: &str| format!("{}?options=-c%20search_path%3D{schema}", owned.server.url(role, "orders"));
        let projector = connect(&path("orders_projector")).await?;
        let upkeep = "SELECT create_event_log_partitions(), drop_expired_event_log_partition()";
        projector.query_one(upkeep, &[]).await.context(schema)?;
        let logged: i64 = projector.query_one("SELECT count(*) FROM event_log", &[]).await?.get(0);
        assert_eq!(logged, 0);
        let scaler = connect(&path("orders_scaler")).await?;
        scaler.query_one("SELECT oldest_event_seconds()", &[]).await.context(schema)?;
        connect(&path("orders_write_api")).await?.batch_execute("SELECT FROM orders").await?;
        connect(&path("orders_read_api")).await?.batch_execute("SELECT FROM order_summary").await?;
    }
    let report = Cell::new("cell_01")?.doctor(&owned.url()).await?;
    ensure!(!report.has_errors(), "after the second cell: {report}");
    Ok(())
}

/// The same as `--schema`, except that the schema must exist.
#[tokio::test]
async fn a_search_path_in_the_url_is_the_cell() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    let url = format!("{}?options=-c%20search_path%3Dcell_01", database.superuser_url());
    let said = run(&url, &["up"]).await?;
    let reason =
        "there is no schema cell_01, or the role may not use it. `migrate up --schema cell_01` creates one";
    assert!(said.code == Some(1) && said.reason().contains(reason), "{}", said.reason());

    database.connect().await?.batch_execute("CREATE SCHEMA cell_01").await?;
    assert!(!migrate::up(&url).await?.is_empty());
    assert!(Cell::new("cell_01")?.pending(&database.superuser_url()).await?.is_empty());
    let report = migrate::doctor(&url).await?;
    ensure!(!report.has_errors(), "{report}");
    Ok(())
}

/// PostgreSQL would silently take the next schema, which here has another shop.
#[tokio::test]
async fn a_schema_that_is_missing_is_not_replaced_by_the_next_one() -> Result<()> {
    let database = TestDatabase::create().await?;
    let url = format!("{}?options=-c%20search_path%3Dcell_01,public", database.superuser_url());
    assert!(matches!(migrate::down(&url, 1).await, Err(MigrateError::NoSchema(name)) if name == "cell_01"));
    assert!(matches!(migrate::up(&url).await, Err(MigrateError::NoSchema(_))));
    assert!(matches!(migrate::pending(&url).await, Err(MigrateError::NoSchema(_))));
    assert!(matches!(migrate::doctor(&url).await, Err(MigrateError::NoSchema(_))));
    for command in [&["down"][..], &["status"], &["doctor"]] {
        let arguments = [command, &["--schema", "cell_01"]].concat();
        let said = run(&database.superuser_url(), &arguments).await?;
        assert!(
            said.code == Some(1) && said.reason().contains("there is no schema cell_01"),
            "{}",
            said.reason()
        );
    }
    let session = database.connect().await?;
    let none = "SELECT count(*) FROM pg_namespace WHERE nspname = 'cell_01'";
    assert_eq!(session.query_one(none, &[]).await?.get::<_, i64>(0), 0, "only `up` makes it");
    Ok(())
}

#[tokio::test]
async fn the_schema_is_named_once() -> Result<()> {
    let database = database_with(&["cell_01"]).await?;
    let url = format!("{}?options=-c%20search_path%3Dcell_01", database.superuser_url());
    for arguments in
        [&["up", "--schema", "cell_02"][..], &["up", "--all-cells"], &["doctor", "--schema", "cell_01"]]
    {
        let said = run(&url, arguments).await?;
        assert!(said.reason().contains("DATABASE_URL has a search_path"), "{arguments:?}: {}", said.reason());
    }
    Ok(())
}

#[tokio::test]
async fn a_schema_has_one_history() -> Result<()> {
    let database = database_with(&["cell_01"]).await?;
    let folder = tempfile::tempdir()?;
    let migration = folder.path().join("2026-01-01-000001_create_visits");
    std::fs::create_dir(&migration)?;
    std::fs::write(migration.join("up.sql"), "CREATE TABLE visits (id int)")?;
    std::fs::write(migration.join("down.sql"), "DROP TABLE visits")?;
    let url = database.superuser_url();

    Addition::new("visits", folder.path())?.up(&url).await.context("visits")?;
    let error = Cell::new("visits")?.up(&url).await.unwrap_err();
    assert!(matches!(error, MigrateError::OtherHistory), "{error:?}");
    let error = Addition::new("cell_01", folder.path())?.up(&url).await.unwrap_err();
    assert!(matches!(error, MigrateError::OtherHistory), "{error:?}");
    let cells: Vec<_> = Cell::all(&url).await?.iter().map(|cell| cell.schema().to_owned()).collect();
    assert_eq!(cells, ["cell_01"], "a history of other migrations is no cell");
    Ok(())
}

#[tokio::test]
async fn a_wrong_name_is_refused_before_anything_is_done() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    for name in ["Cell", "cell-01", "pg_cell", "1", "information_schema", &"c".repeat(64)] {
        let said = run(&database.superuser_url(), &["up", "--schema", name]).await?;
        assert!(
            said.code == Some(1) && said.reason().contains("is not a name for a schema"),
            "{}",
            said.reason()
        );
    }
    let longest = "c".repeat(63);
    let said = run(&database.superuser_url(), &["up", "--schema", &longest]).await?;
    assert_eq!(said.code, Some(0), "{}", said.reason());
    let cells = Cell::all(&database.superuser_url()).await?;
    assert_eq!(cells.iter().map(Cell::schema).collect::<Vec<_>>(), [longest]);
    Ok(())
}
