//! A backend is killed. PostgreSQL recovers from the crash, and allocates ids again that were not on disk.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use projector::batch::BatchOutcome;
use projector::database;
use service_kit::database::DatabaseConfig;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::wait;
use tokio_postgres::{Client, NoTls};

use crate::support::{Worker, drain, event};

async fn connect(server: &PrivateServer) -> Result<Client> {
    let (session, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(session)
}

fn worker(server: &PrivateServer) -> Result<Worker> {
    let vars = [("DATABASE_URL".to_owned(), server.url("orders_projector", "postgres"))];
    let database = database::open(&DatabaseConfig::from_vars(&vars.into())?, "test")?;
    Ok(Worker::new(database, projector::projections(), 100))
}

/// Inserts an event, and returns its id.
async fn emit(session: &Client, order: u128) -> Result<i64> {
    let event = event(order, 1).encode()?;
    let insert = "INSERT INTO outbox (kind, payload) VALUES ($1, $2::text::json) RETURNING id";
    Ok(session.query_one(insert, &[&event.kind, &event.payload]).await?.get(0))
}

async fn started(session: &Client) -> Result<String> {
    Ok(session.query_one("SELECT pg_postmaster_start_time()::text", &[]).await?.get(0))
}

/// Kills this session's backend, and returns a new session once the server has recovered.
async fn crash(server: &PrivateServer, session: Client) -> Result<Client> {
    let before = started(&session).await?;
    let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    // The server ends it when it notices the crash. Until then it would accept a session, and end that one too.
    let other = connect(server).await?;
    kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    wait::until("both sessions to end", Duration::from_secs(30), async || {
        if session.is_closed() && other.is_closed() { Ok(()) } else { Err("one is still open") }
    })
    .await?;
    let session = wait::until("the server to recover", Duration::from_secs(30), || connect(server)).await?;
    assert_eq!(started(&session).await?, before, "the postmaster must survive");
    Ok(session)
}

#[tokio::test]
async fn an_event_whose_id_was_allocated_before_a_crash_and_again_after_it_is_claimed_at_once() -> Result<()>
{
    let server = PrivateServer::start(&ServerOptions { tuning: Tuning::Durable, data_dir: None })?;
    migrate::up(&server.superuser_url("postgres")).await?;
    let mut session = connect(&server).await?;
    // WAL of transactions without a commit stays in memory for a while.
    session.batch_execute("ALTER SYSTEM SET wal_writer_delay = '10s'").await?;
    session.batch_execute("SELECT pg_reload_conf()").await?;
    let worker = worker(&server)?;

    for attempt in 0..5 {
        emit(&session, 100 + attempt).await?;
        drain(&worker).await?;
        for _ in 0..40 {
            session.batch_execute("BEGIN; SELECT nextval('outbox_id_seq'); ROLLBACK").await?;
        }
        let newest: i64 = session.query_one("SELECT last_value FROM outbox_id_seq", &[]).await?.get(0);
        wait::until("the mark to advance", Duration::from_secs(30), || async {
            let outcome = worker.run_once().await;
            if worker.low_water_mark() > newest {
                Ok(())
            } else {
                Err((outcome.is_ok(), worker.low_water_mark()))
            }
        })
        .await?;
        session = crash(&server, session).await?;
        let id = emit(&session, 200 + attempt).await?;
        if id > newest {
            // The WAL had been flushed.
            continue;
        }
        // Further ids are allocated, until the sequence no longer shows that it went back.
        let others = "SELECT nextval('outbox_id_seq') FROM generate_series(1, $1::bigint)";
        session.query(others, &[&(newest + 1 - id)]).await?;
        // The recheck would find the event too, within a minute.
        wait::until("the event to be applied", Duration::from_secs(20), || async {
            match worker.run_once().await {
                Ok(BatchOutcome::Committed { applied: 1, parked: 0, .. }) => Ok(()),
                other => Err((other, worker.low_water_mark())),
            }
        })
        .await
        .with_context(|| format!("event {id}"))?;
        return Ok(());
    }
    bail!("no id was allocated again, so the test proves nothing")
}
