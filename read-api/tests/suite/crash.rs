//! PostgreSQL crashes, and uses the ids of transactions again that left nothing on disk.

use std::time::Duration;

use anyhow::{Result, ensure};
use read_api::adapter::postgres::PgOrderWatch;
use read_api::model::ReadPosition;
use read_api::port::OrderWatch;
use service_kit::database::DatabaseConfig;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::wait;
use tokio_postgres::types::PgLsn;
use tokio_postgres::{Client, NoTls};

use crate::support::{change, insert};

const LIMIT: Duration = Duration::from_secs(30);

async fn connect(server: &PrivateServer) -> Result<Client> {
    let (session, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(session)
}

fn watch(server: &PrivateServer) -> Result<PgOrderWatch> {
    let url = server.url("orders_read_api", "postgres");
    let database = DatabaseConfig::from_vars(&[("DATABASE_URL".to_owned(), url)].into())?;
    Ok(PgOrderWatch::new(database.open("test")?))
}

/// Uses ids of transactions that only the memory of the server knows of, and reads. Returns the position of that, and
/// which id came next.
async fn read_before_the_crash(server: &PrivateServer, session: &Client) -> Result<(ReadPosition, i64)> {
    let found = wait::until("a read before WAL is flushed", LIMIT, async || {
        let written: PgLsn = session.query_one("SELECT pg_current_wal_insert_lsn()", &[]).await?.get(0);
        for _ in 0..20 {
            session.batch_execute("BEGIN; SELECT pg_current_xact_id(); ROLLBACK").await?;
        }
        let next = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
        let next: i64 = session.query_one(next, &[]).await?.get(0);
        let read = watch(server)?.newest(vec!["alice".to_owned()], 20).await?;
        ensure!(read.found.concat().len() == 1, "alice has one order");
        // The server's own processes flush it now and then.
        let flushed: PgLsn = session.query_one("SELECT pg_current_wal_flush_lsn()", &[]).await?.get(0);
        ensure!(flushed <= written, "flushed up to {flushed}, which was written up to {written} before");
        Ok::<_, anyhow::Error>((read.position, next))
    });
    Ok(found.await?)
}

#[tokio::test]
async fn a_change_is_found_although_its_transaction_id_was_already_used_before_the_crash() -> Result<()> {
    let dir = tempfile::tempdir_in("/tmp")?;
    // The server's user must be able to enter the directory.
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let options = ServerOptions { tuning: Tuning::Durable, data_dir: Some(dir.path().join("data")) };
    let server = PrivateServer::start(&options)?;
    migrate::up(&server.superuser_url("postgres")).await?;
    let session = connect(&server).await?;
    // Keeps WAL in memory for longer unless a commit flushes it.
    session.batch_execute("ALTER SYSTEM SET wal_writer_delay = '10s'").await?;
    session.batch_execute("SELECT pg_reload_conf()").await?;
    insert(&session, &[(1, "alice", 1)]).await?;
    let (position, before) = read_before_the_crash(&server, &session).await?;
    server.crash();

    let server = PrivateServer::start(&options)?;
    let session = connect(&server).await?;
    change(&session, 1, 1).await?;
    let changed_in: i64 = session.query_one("SELECT max(changed_in) FROM order_summary", &[]).await?.get(0);
    assert!(changed_in < before, "{changed_in} was not used before the crash, when {before} came next");
    let unseen = position.unseen().collect();
    let changes = watch(&server)?.changes_of_customers(vec!["alice".to_owned()], unseen, 20).await?;
    assert_eq!(changes.position.history, position.history);
    let versions: Vec<_> = changes.found.iter().map(|change| change.order.version).collect();
    assert_eq!(versions, [2]);
    Ok(())
}
