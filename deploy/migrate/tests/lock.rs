//! One migrator at a time, also beside those of earlier releases; and no other role can stop one.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use migrate::{Addition, MigrateError};
use testkit::test_database::TestDatabase;
use testkit::wait;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

const LIMIT: Duration = Duration::from_secs(30);

/// What migrators of earlier releases lock.
const ADVISORY: &str = "SELECT pg_advisory_lock(7214380665)";

const TABLE: &str = "BEGIN; LOCK TABLE __diesel_schema_migrations IN SHARE UPDATE EXCLUSIVE MODE";

/// Reverts one migration, which waits for as long as `holder` has its lock.
async fn check_that_it_waits_for(database: &TestDatabase, holder: Client, watcher: &Client) -> Result<()> {
    let url = database.superuser_url();
    let before = applied(watcher).await?;
    let reverting = tokio::spawn(async move { migrate::down(&url, 1).await });
    // Several attempts: it has not gone on after the first one.
    let attempts = "SELECT query_start::text FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'migrate'
                        AND query ~ 'pg_try_advisory_lock|LOCK TABLE|has_table_privilege'";
    let seen = RefCell::new(BTreeSet::new());
    wait::until("the migrator to try again and again", LIMIT, async || {
        let found = watcher.query(attempts, &[]).await.map_err(|error| error.to_string())?;
        let mut seen = seen.borrow_mut();
        seen.extend(found.iter().map(|row| row.get::<_, String>(0)));
        if seen.len() > 4 { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await?;
    assert_eq!(applied(watcher).await?, before, "it has begun");
    drop(holder);
    assert_eq!(tokio::time::timeout(LIMIT, reverting).await???.len(), 1);
    assert_eq!(applied(watcher).await?, before - 1);
    Ok(())
}

async fn applied(session: &Client) -> Result<i64> {
    Ok(session.query_one("SELECT count(*) FROM __diesel_schema_migrations", &[]).await?.get(0))
}

#[tokio::test]
async fn it_waits_for_a_migrator_of_this_and_of_an_earlier_release() -> Result<()> {
    for lock in [TABLE, ADVISORY] {
        let database = TestDatabase::create().await?;
        let holder = database.connect().await?;
        holder.batch_execute(lock).await?;
        check_that_it_waits_for(&database, holder, &database.connect().await?).await.context(lock)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_migrator_of_an_earlier_release_waits_for_it() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let folder = folder(&[(
        "2026-01-01-000001_see_the_lock",
        "CREATE TABLE seen AS SELECT pg_backend_pid() AS worker, pid FROM pg_locks
         WHERE locktype = 'advisory' AND granted AND classid::bigint << 32 | objid::bigint = 7214380665",
    )])?;
    Addition::new("locks", folder.path())?.up(&database.superuser_url()).await?;
    let seen = session.query("SELECT FROM locks.seen WHERE worker = pid", &[]).await?;
    assert_eq!(seen.len(), 1, "it has the lock that they know");
    Ok(())
}

#[tokio::test]
async fn the_role_of_a_process_cannot_take_its_lock() -> Result<()> {
    let database = TestDatabase::create().await?;
    for role in ["orders_write_api", "orders_projector", "orders_read_api"] {
        let session = database.connect_as(role).await?;
        let weakest = "BEGIN; LOCK TABLE __diesel_schema_migrations IN ACCESS SHARE MODE";
        let refused = session.batch_execute(weakest).await;
        let refused = refused.err().context("the role can lock the history")?;
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{role}: {refused}");
        session.batch_execute(&format!("ROLLBACK; {ADVISORY}")).await?;
        let url = database.superuser_url();
        tokio::time::timeout(LIMIT, migrate::down(&url, 1)).await.context(role)??;
        tokio::time::timeout(LIMIT, migrate::up(&url)).await.context(role)??;
        session.batch_execute("SELECT pg_advisory_unlock_all()").await?;
    }
    Ok(())
}

#[tokio::test]
async fn it_names_the_session_whose_transaction_keeps_it_from_a_table() -> Result<()> {
    let database = TestDatabase::create().await?;
    let [idle, busy] = [database.connect_as("orders_write_api").await?, database.connect().await?];
    idle.batch_execute("BEGIN; SELECT id FROM outbox").await?;
    // Its tables have the same oids: both databases are copies of one.
    let other = TestDatabase::create().await?;
    let elsewhere = other.connect_as("orders_read_api").await?;
    elsewhere.batch_execute("BEGIN; SELECT FROM order_summary").await?;
    // It has locks too, but none that lasts.
    let working = tokio::spawn(async move {
        while busy.batch_execute("SELECT FROM outbox, pg_sleep(0.01)").await.is_ok() {}
    });
    let url = database.superuser_url();
    let error = migrate::down(&url, usize::MAX).await.err().context("it did not wait")?;
    working.abort();
    let pid: i32 = idle.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let expected = format!("in a transaction that lasts: session {pid} of role orders_write_api (); end it");
    assert!(error.to_string().contains(&expected), "{error}");
    idle.batch_execute("ROLLBACK").await?;
    assert_eq!(migrate::down(&url, 1).await?.len(), 1);
    Ok(())
}

/// A folder with these migrations.
fn folder(migrations: &[(&str, &str)]) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for (name, up) in migrations {
        let migration = folder.path().join(Path::new(name));
        std::fs::create_dir(&migration)?;
        std::fs::write(migration.join("up.sql"), up)?;
        std::fs::write(migration.join("down.sql"), "SELECT")?;
    }
    Ok(folder)
}

#[tokio::test]
async fn it_does_not_go_on_without_its_lock() -> Result<()> {
    let database = TestDatabase::create().await?;
    let folder = folder(&[
        (
            "2026-01-01-000001_end_the_holder",
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_locks
             WHERE relation = 'public.__diesel_schema_migrations'::regclass AND mode = 'ShareUpdateExclusiveLock'
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        ),
        ("2026-01-01-000002_create_more", "CREATE TABLE more (id int)"),
    ])?;
    let addition = Addition::new("locks", folder.path())?;
    let error = addition.up(&database.superuser_url()).await.unwrap_err();
    assert!(matches!(error, MigrateError::LockLost(_)), "{error:?}");
    assert_eq!(addition.pending(&database.superuser_url()).await?, ["2026-01-01-000002_create_more"]);
    Ok(())
}
