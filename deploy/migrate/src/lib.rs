//! Brings a database to the schema of this build, or back.
//!
//! Several migrators may start at once (one per pod, say): they take turns on an advisory lock, and the later ones find
//! nothing left to do.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel::{Connection, ConnectionError, QueryResult, RunQueryDsl};
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

/// The migrations in `migrations/`, as they were when this was built.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// The advisory lock on which migrators of one database take turns. The number means nothing; it must never change.
const ADVISORY_LOCK: i64 = 7_214_380_665;

/// How long to wait for another migrator to finish.
const TURN_LIMIT: Duration = Duration::from_mins(10);

/// How long to let pass between two tries.
const TURN_PAUSE: Duration = Duration::from_millis(100);

/// How long a migration may wait for a table lock. Whoever waits for an exclusive lock makes all later readers
/// wait behind it, so that a migration gives up early and is run again.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// How long an index that is built or dropped CONCURRENTLY may wait for transactions to end. Nobody waits behind it.
const CONCURRENT_LIMIT: Duration = Duration::from_mins(5);

type BoxedError = Box<dyn std::error::Error + Send + Sync>;
type BlockingConnection = AsyncConnectionWrapper<AsyncPgConnection>;

/// One migration that was applied or reverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Name of its folder, such as `2026-11-23-000200_create_orders`.
    pub name: String,
    /// How long it took.
    pub took: Duration,
}

/// What keeps a database from being migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The URL is not one.
    #[error(transparent)]
    Url(#[from] service_kit::config::ConfigError),
    /// The database cannot hold all text.
    #[error(
        "the database has the encoding {0}; create it anew with ENCODING 'UTF8', which alone can hold every order"
    )]
    Encoding(String),
    /// No connection to the database.
    #[error("cannot connect to the database")]
    Connect(#[source] ConnectionError),
    /// The session could not be set up.
    #[error("cannot prepare the session")]
    Prepare(#[source] diesel::result::Error),
    /// Another migrator was at work for longer than ten minutes.
    #[error("cannot get a turn: another migrator is still at work")]
    Turn,
    /// The record of applied migrations cannot be read.
    #[error("cannot read which migrations were applied")]
    History(#[source] BoxedError),
    /// A migration failed. It was rolled back, or is undone by the next run; those before it stay.
    #[error("migration {name} failed")]
    Step {
        /// Name of its folder.
        name: String,
        /// What PostgreSQL said.
        #[source]
        source: BoxedError,
    },
    /// The task that migrated died.
    #[error("the migration task did not finish")]
    Task(#[source] tokio::task::JoinError),
}

/// Applies what is pending, in order, and returns it.
///
/// # Errors
///
/// [`MigrateError`]. What was applied before the failure stays applied.
pub async fn up(database_url: &str) -> Result<Vec<Step>, MigrateError> {
    blocking(database_url, |connection| {
        require_utf8(connection)?;
        drop_unfinished_indexes(connection).map_err(MigrateError::Prepare)?;
        let pending = connection.pending_migrations(MIGRATIONS).map_err(MigrateError::History)?;
        pending.iter().map(|migration| apply(connection, migration.as_ref())).collect()
    })
    .await
}

/// Reverts the last `steps` applied migrations, newest first, and returns them; fewer where there are no more.
///
/// # Errors
///
/// [`MigrateError`]. What was reverted before the failure stays reverted.
pub async fn down(database_url: &str, steps: usize) -> Result<Vec<Step>, MigrateError> {
    blocking(database_url, move |connection| {
        let applied = connection.applied_migrations().map_err(MigrateError::History)?;
        let known = MigrationSource::<Pg>::migrations(&MIGRATIONS).map_err(MigrateError::History)?;
        let to_revert = applied.iter().take(steps).map(|version| {
            known.iter().find(|migration| migration.name().version() == *version).ok_or_else(|| {
                MigrateError::History(format!("this build does not know migration {version}").into())
            })
        });
        to_revert.map(|migration| revert(connection, migration?.as_ref())).collect()
    })
    .await
}

/// Names of the migrations that are not applied yet, in order.
///
/// # Errors
///
/// [`MigrateError`].
pub async fn pending(database_url: &str) -> Result<Vec<String>, MigrateError> {
    blocking(database_url, |connection| {
        let pending = connection.pending_migrations(MIGRATIONS).map_err(MigrateError::History)?;
        Ok(pending.iter().map(|migration| migration.name().to_string()).collect())
    })
    .await
}

/// diesel's migration harness is synchronous: it gets a thread of its own, and a connection that holds the lock.
async fn blocking<T, F>(database_url: &str, work: F) -> Result<T, MigrateError>
where
    T: Send + 'static,
    F: FnOnce(&mut BlockingConnection) -> Result<T, MigrateError> + Send + 'static,
{
    service_kit::database::check_url(database_url)?;
    let database_url = database_url.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut connection = BlockingConnection::establish(&database_url).map_err(MigrateError::Connect)?;
        take_turn(&mut connection)?;
        work(&mut connection)
    })
    .await
    .map_err(MigrateError::Task)?
}

/// The lock belongs to the session, and goes with it however this process ends. It is asked for again and again: a
/// statement that waits for it would hold a snapshot, for whose end an index that is built CONCURRENTLY waits.
fn take_turn(connection: &mut BlockingConnection) -> Result<(), MigrateError> {
    connection
        .batch_execute("SET application_name = 'migrate'; SET client_min_messages = warning")
        .map_err(MigrateError::Prepare)?;
    let start = Instant::now();
    let lock =
        diesel::dsl::sql::<Bool>("pg_try_advisory_lock(").bind::<diesel::sql_types::BigInt, _>(ADVISORY_LOCK);
    let lock = lock.sql(")");
    while !diesel::select(lock.clone()).get_result::<bool>(connection).map_err(MigrateError::Prepare)? {
        if start.elapsed() > TURN_LIMIT {
            return Err(MigrateError::Turn);
        }
        std::thread::sleep(TURN_PAUSE);
    }
    Ok(())
}

fn require_utf8(connection: &mut BlockingConnection) -> Result<(), MigrateError> {
    let encoding = diesel::select(diesel::dsl::sql::<Text>("current_setting('server_encoding')"));
    let encoding: String = encoding.get_result(connection).map_err(MigrateError::Prepare)?;
    if encoding == "UTF8" { Ok(()) } else { Err(MigrateError::Encoding(encoding)) }
}

/// An index whose building CONCURRENTLY was interrupted stays behind, costs every write and serves no query. Its migration
/// counts as not applied, and would find its name taken.
fn drop_unfinished_indexes(connection: &mut BlockingConnection) -> QueryResult<()> {
    let unfinished = diesel::sql_query(
        "SELECT format('%I.%I', nspname, relname) AS name
         FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE NOT indisvalid AND nspname = current_schema()",
    );
    wait_for_locks(connection, CONCURRENT_LIMIT)?;
    for UnfinishedIndex { name } in unfinished.load(connection)? {
        connection.batch_execute(&format!("DROP INDEX CONCURRENTLY {name}"))?;
    }
    Ok(())
}

#[derive(diesel::QueryableByName)]
struct UnfinishedIndex {
    #[diesel(sql_type = Text)]
    name: String,
}

fn wait_for_locks(connection: &mut BlockingConnection, limit: Duration) -> QueryResult<()> {
    connection.batch_execute(&format!("SET lock_timeout = {}", limit.as_millis()))
}

fn apply(connection: &mut BlockingConnection, migration: &dyn Migration<Pg>) -> Result<Step, MigrateError> {
    timed(connection, migration, |connection| connection.run_migration(migration).map(drop))
}

fn revert(connection: &mut BlockingConnection, migration: &dyn Migration<Pg>) -> Result<Step, MigrateError> {
    timed(connection, migration, |connection| connection.revert_migration(migration).map(drop))
}

fn timed(
    connection: &mut BlockingConnection,
    migration: &dyn Migration<Pg>,
    run: impl FnOnce(&mut BlockingConnection) -> Result<(), BoxedError>,
) -> Result<Step, MigrateError> {
    let name = migration.name().to_string();
    let is_concurrent = !migration.metadata().run_in_transaction();
    wait_for_locks(connection, if is_concurrent { CONCURRENT_LIMIT } else { LOCK_LIMIT })
        .map_err(MigrateError::Prepare)?;
    let start = Instant::now();
    match run(connection) {
        Ok(()) => Ok(Step { name, took: start.elapsed() }),
        Err(source) => Err(MigrateError::Step { name, source }),
    }
}
