//! Schemas that are no cells, or not those of the migrator.

use anyhow::{Context, Result};
use migrate::Cell;
use testkit::owned_database::OwnedDatabase;

use crate::support::{database_with, run};

/// What looks like a cell, made by a role that may make schemas. Who reads its history runs a function of that role.
const TRAP: &str = "
    CREATE SCHEMA trap;
    GRANT USAGE ON SCHEMA trap TO PUBLIC;
    CREATE TABLE trap.outbox (id bigint);
    CREATE TABLE trap.__diesel_schema_migrations (version text, run_on timestamp);
    INSERT INTO trap.__diesel_schema_migrations VALUES ('20261123000100', now());
    CREATE FUNCTION trap.spring() RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            EXECUTE 'GRANT SELECT ON public.orders TO stranger';
            RETURN true;
        END
    $$;
    CREATE POLICY trap ON trap.__diesel_schema_migrations USING (trap.spring());
    ALTER TABLE trap.__diesel_schema_migrations ENABLE ROW LEVEL SECURITY;
    GRANT SELECT ON trap.__diesel_schema_migrations TO PUBLIC";

#[tokio::test]
async fn nothing_of_another_role_is_read() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    let make = "CREATE ROLE stranger LOGIN; GRANT CONNECT, CREATE ON DATABASE orders TO stranger";
    owned.superuser.batch_execute(make).await?;
    owned.connect_as("stranger").await?.batch_execute(TRAP).await?;

    migrate::down(&owned.url(), 1).await?;
    migrate::up(&owned.url()).await?;
    for arguments in [&["up", "--all-cells"], &["status", "--all-cells"]] {
        let ran = run(&owned.url(), arguments).await?;
        let reason = "the schema trap has the tables of a cell, but they belong to stranger";
        assert!(ran.code == Some(1) && ran.reason().contains(reason), "{arguments:?}: {}", ran.reason());
    }
    let is_sprung = "SELECT has_table_privilege('stranger', 'public.orders', 'SELECT')";
    assert!(!owned.superuser.query_one(is_sprung, &[]).await?.get::<_, bool>(0), "its function has run");
    Ok(())
}

/// Also a temporary table of another session, and a history without versions.
#[tokio::test]
async fn histories_of_other_programs_are_not_in_the_way() -> Result<()> {
    let database = database_with(&["cell_01"]).await?;
    let session = database.connect().await?;
    session
        .batch_execute(
            "CREATE SCHEMA app; CREATE TABLE app.__diesel_schema_migrations (number int);
             CREATE TEMPORARY TABLE outbox (id bigint);
             CREATE TEMPORARY TABLE __diesel_schema_migrations (number int)",
        )
        .await?;
    let url = database.superuser_url();
    Cell::new("cell_01")?.down(&url, 1).await?;
    let ran = run(&url, &["up", "--all-cells"]).await?;
    assert_eq!((ran.code, ran.cells("cell migrated")), (Some(0), vec!["cell_01"]), "{}", ran.reason());
    Ok(())
}

/// Its migrator may not make schemas, and need not.
#[tokio::test]
async fn cells_are_migrated_without_the_right_to_make_schemas() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    let cell = Cell::new("cell_01")?;
    cell.up(&owned.url()).await?;
    cell.down(&owned.url(), 1).await?;
    owned.superuser.batch_execute("ALTER DATABASE orders OWNER TO CURRENT_USER").await?;
    assert_eq!(Cell::all(&owned.url()).await?, std::slice::from_ref(&cell));
    assert_eq!(cell.up(&owned.url()).await?.len(), 1);
    let refused = Cell::new("cell_02")?.up(&owned.url()).await.err().context("made without the right")?;
    assert!(refused.to_string().contains("cannot create the schema cell_02"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_schema_that_is_no_cell_gets_nothing_from_status_and_down() -> Result<()> {
    let database = database_with(&[]).await?;
    let session = database.connect().await?;
    session.batch_execute("CREATE SCHEMA app").await?;
    let app = Cell::new("app")?;
    assert_eq!(app.down(&database.superuser_url(), 1).await?, []);
    let pending = app.pending(&database.superuser_url()).await?;
    assert_eq!(pending.first().map(String::as_str), Some("2026-11-23-000100_create_roles"));
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'app'::regnamespace";
    assert_eq!(session.query_one(tables, &[]).await?.get::<_, i64>(0), 0);
    assert_eq!(app.up(&database.superuser_url()).await?.len(), pending.len());
    Ok(())
}
