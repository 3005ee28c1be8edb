//! A projector that is frozen while it has claimed events.

use std::cell::Cell;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use projector::batch::BatchOutcome;
use projector::database;
use service_kit::database::DatabaseConfig;
use testkit::postgres::PrivateServer;
use testkit::wait;
use tokio_postgres::{Client, NoTls};

use crate::support::{Worker, event};

const EVENTS: usize = 100;

/// Gives the test time to freeze the process while its claim runs.
const SLOW_CLAIM: &str = "
    CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('application_name') = 'projector' THEN PERFORM pg_sleep(1); END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER pause BEFORE DELETE ON outbox FOR EACH STATEMENT EXECUTE FUNCTION pause()";

/// Killed on drop.
struct Process(Child);

impl Process {
    fn start(url: &str) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_projector"));
        command.env("DATABASE_URL", url).env("PORT", "0").env("ADMIN_PORT", "0").env("AUTH", "off");
        // All events in one claim.
        command.env("BATCH_MAX", "100").env("BATCH_MAX_BYTES", "67108864");
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }

    fn freeze(&self) -> Result<()> {
        Ok(kill(Pid::from_raw(self.0.id().try_into()?), Signal::SIGSTOP)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_dead = self.0.kill();
        let _already_waited_for = self.0.wait();
    }
}

async fn emit(session: &Client, padding: usize) -> Result<()> {
    let padding = format!("{{\"padding\":\"{}\",", "x".repeat(padding));
    let events = (1..=EVENTS).map(|order| event(u128::try_from(order).unwrap_or_default(), 1).encode());
    let payloads: Vec<_> =
        events.map(|event| Ok(event?.payload.replacen('{', &padding, 1))).collect::<Result<_>>()?;
    let insert = "INSERT INTO outbox (kind, payload) SELECT 'order_placed', unnest($1::text[])::json";
    session.execute(insert, &[&payloads]).await?;
    Ok(())
}

/// Waits until the projector's claim is in this state.
async fn until_claim_is(session: &Client, state: &str) -> Result<()> {
    let query = "SELECT concat_ws('/', state, wait_event) FROM pg_stat_activity
                 WHERE application_name = 'projector' AND query LIKE '-- claim_events%'
                     AND datname = current_database()";
    wait::until("the state of the claim", Duration::from_secs(20), async || {
        let rows = session.query(query, &[]).await.unwrap_or_default();
        let states: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        if states.iter().any(|other| other == state) { Ok(()) } else { Err(states) }
    })
    .await
    .with_context(|| state.to_owned())
}

/// How long until another worker has claimed the events of a process that is frozen while the server sends them.
async fn released_after(
    server: &PrivateServer,
    database: &str,
    padding: usize,
    state: &str,
) -> Result<Duration> {
    migrate::up(&server.superuser_url(database)).await?;
    let (session, connection) = tokio_postgres::connect(&server.superuser_url(database), NoTls).await?;
    tokio::spawn(connection);
    session.batch_execute(SLOW_CLAIM).await?;
    emit(&session, padding).await?;
    let url = server.url("orders_projector", database);
    let process = Process::start(&url)?;
    until_claim_is(&session, "active/PgSleep").await?;
    process.freeze()?;
    until_claim_is(&session, state).await?;
    let frozen_since = Instant::now();

    let config = DatabaseConfig::from_vars(&[("DATABASE_URL".to_owned(), url)].into())?;
    let worker = Worker::new(database::open(&config, "test")?, projector::projections(), 100);
    let left = Cell::new(EVENTS);
    wait::until("another worker to claim the events", Duration::from_secs(30), async || {
        let outcome = worker.run_once().await;
        if let Ok(BatchOutcome::Committed { applied, .. }) = outcome {
            assert!(applied * padding <= 4 << 20, "{applied} events of {padding} bytes in one batch");
            left.set(left.get() - applied);
        }
        if left.get() == 0 { Ok(()) } else { Err((outcome.is_ok(), left.get())) }
    })
    .await?;
    Ok(frozen_since.elapsed())
}

#[tokio::test]
async fn the_claim_of_a_frozen_process_is_released_within_ten_seconds_whatever_its_size() -> Result<()> {
    let server = PrivateServer::start_on_tcp()?;
    let (admin, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    admin.batch_execute("CREATE DATABASE small").await?;
    admin.batch_execute("CREATE DATABASE large").await?;
    let (small, large) = tokio::join!(
        released_after(&server, "small", 100, "idle in transaction/ClientRead"),
        released_after(&server, "large", 135_000, "active/ClientWrite"),
    );
    for (size, released_after) in [("small", small?), ("large", large?)] {
        assert!(released_after < Duration::from_secs(10), "{size}: released after {released_after:?}");
    }
    Ok(())
}
