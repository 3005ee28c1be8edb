//! Applies or reverts the migrations of this build.
//!
//! Several migrators may start at once, for example one per pod: a lock runs them one after the other in a schema, and
//! the later ones find nothing to do.

#![allow(missing_docs, reason = "for this workspace only: comments say what names do not")]

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::Text;
use diesel::{QueryResult, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use service_kit::telemetry::chain;

pub use self::cell::Cell;
use self::cell::has_history;
pub use self::doctor::{Finding, Level, Report, doctor};
use self::error::Blockers;
pub use self::error::MigrateError;
use self::lock::Lock;
use self::roles::Roles;
pub use self::schema_name::SchemaNameError;
use self::session::{BlockingConnection, current_schema, wait_for_locks};
pub use self::source::Addition;
use self::source::Source;

mod blockers;
mod cell;
mod doctor;
mod error;
mod lock;
mod released;
mod roles;
mod schema_name;
mod session;
mod source;

/// The migrations in `migrations/` at build time.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Longest wait of a migration for a table lock. While it waits for an exclusive lock, all later readers wait behind
/// it; so it fails early and can be run again.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// Longest wait of CREATE or DROP INDEX CONCURRENTLY for transactions to end. Nothing waits behind it.
const CONCURRENT_LIMIT: Duration = Duration::from_mins(5);

/// What PostgreSQL says after either of them.
const LOCK_TIMEOUT: &str = "due to lock timeout";

/// What it says to the second one of two transactions that change the same role, or the rights on the database. The
/// first one has ended by then.
const CHANGED_AT_ONCE: &str = "tuple concurrently updated";

/// Most repetitions after that. Each time, another migrator has come further.
const REPETITIONS: usize = 20;

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// One migration that was applied or reverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Name of the folder, such as `2026-11-23-000200_create_orders`.
    pub name: String,
    pub took: Duration,
}

/// Applies all pending migrations in order, and returns them. Stops before the first one, also if none is pending, if
/// the role of a process has more rights than its process may have.
///
/// # Errors
///
/// [`MigrateError`]. Migrations before the failed one stay applied.
pub async fn up(database_url: &str) -> Result<Vec<Step>, MigrateError> {
    up_of(Source::Product(None), database_url).await
}

async fn up_of(source: Source, database_url: &str) -> Result<Vec<Step>, MigrateError> {
    blocking(database_url, source, None, move |source, connection, lock| {
        require_utf8(connection)?;
        refuse_excessive_rights(connection, source.roles())?;
        source.enter(connection)?;
        drop_unfinished_indexes(connection).map_err(MigrateError::Prepare)?;
        let pending = connection.pending_migrations(&source).map_err(MigrateError::History)?;
        let pending = source.adapt(connection, pending)?;
        pending.iter().map(|migration| apply(connection, lock, migration.as_ref())).collect()
    })
    .await
}

/// Reverts the last `steps` applied migrations at most, newest first, and returns them.
///
/// # Errors
///
/// [`MigrateError`]. Migrations before the failed one stay reverted.
pub async fn down(database_url: &str, steps: usize) -> Result<Vec<Step>, MigrateError> {
    down_of(Source::Product(None), database_url, steps).await
}

async fn down_of(source: Source, database_url: &str, steps: usize) -> Result<Vec<Step>, MigrateError> {
    blocking(database_url, source, Some(|_| Ok(Vec::new())), move |source, connection, lock| {
        source.enter(connection)?;
        let applied = connection.applied_migrations().map_err(MigrateError::History)?;
        let known = (&source).migrations().map_err(MigrateError::History)?;
        let known = source.adapt(connection, known)?;
        let to_revert = applied.iter().take(steps).map(|version| {
            known.iter().find(|migration| migration.name().version() == *version).ok_or_else(|| {
                MigrateError::History(format!("this build does not know migration {version}").into())
            })
        });
        to_revert.map(|migration| revert(connection, lock, migration?.as_ref())).collect()
    })
    .await
}

/// Names of the pending migrations, in order.
pub async fn pending(database_url: &str) -> Result<Vec<String>, MigrateError> {
    pending_of(Source::Product(None), database_url).await
}

async fn pending_of(source: Source, database_url: &str) -> Result<Vec<String>, MigrateError> {
    let all = |source: &Source| source.migrations().map(names_of).map_err(MigrateError::History);
    blocking(database_url, source, Some(all), move |source, connection, _| {
        source.enter(connection)?;
        Ok(names_of(connection.pending_migrations(&source).map_err(MigrateError::History)?))
    })
    .await
}

fn names_of(mut migrations: Vec<Box<dyn Migration<Pg>>>) -> Vec<String> {
    migrations.sort_unstable_by(|one, other| one.name().version().cmp(&other.name().version()));
    migrations.iter().map(|migration| migration.name().to_string()).collect()
}

/// What is true of a schema without a history of migrations.
type IfNew<T> = fn(&Source) -> Result<T, MigrateError>;

/// Runs `work` on a connection while no other migrator runs in the schema. Without `if_new`, it makes the schema and
/// the history if they do not exist. diesel's migration harness is synchronous, so it needs its own thread.
async fn blocking<T, F>(
    url: &str,
    source: Source,
    if_new: Option<IfNew<T>>,
    work: F,
) -> Result<T, MigrateError>
where
    T: Send + 'static,
    F: FnOnce(Source, &mut BlockingConnection, &mut Lock) -> Result<T, MigrateError> + Send + 'static,
{
    service_kit::database::read_url(url)?;
    let target = source.target(url);
    tokio::task::spawn_blocking(move || {
        let mut connection =
            if if_new.is_none() { target.connect_and_create()? } else { target.connect()? };
        current_schema(&mut connection)?;
        if let Some(if_new) = if_new
            && !has_history(&mut connection).map_err(MigrateError::Prepare)?
        {
            return if_new(&source);
        }
        let mut lock = Lock::take(&target, &mut connection)?;
        work(source, &mut connection, &mut lock)
    })
    .await
    .map_err(MigrateError::Task)?
}

fn refuse_excessive_rights(connection: &mut BlockingConnection, roles: &Roles) -> Result<(), MigrateError> {
    let report = doctor::excessive_rights(connection, roles)?;
    if report.findings.is_empty() { Ok(()) } else { Err(MigrateError::Rights(report)) }
}

fn require_utf8(connection: &mut BlockingConnection) -> Result<(), MigrateError> {
    let encoding = diesel::select(diesel::dsl::sql::<Text>("current_setting('server_encoding')"));
    let encoding: String = encoding.get_result(connection).map_err(MigrateError::Prepare)?;
    if encoding == "UTF8" { Ok(()) } else { Err(MigrateError::Encoding(encoding)) }
}

/// An interrupted CREATE INDEX CONCURRENTLY leaves an invalid index, which slows writes and serves no query. Its
/// migration counts as pending, and would fail because the name exists.
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

fn apply(
    connection: &mut BlockingConnection,
    lock: &mut Lock,
    migration: &dyn Migration<Pg>,
) -> Result<Step, MigrateError> {
    lock.check()?;
    timed(connection, migration, |connection| connection.run_migration(migration).map(drop))
}

fn revert(
    connection: &mut BlockingConnection,
    lock: &mut Lock,
    migration: &dyn Migration<Pg>,
) -> Result<Step, MigrateError> {
    lock.check()?;
    timed(connection, migration, |connection| connection.revert_migration(migration).map(drop))
}

/// Who holds the locks, if the migration waited in vain for one.
fn blockers_of(connection: &mut BlockingConnection, error: &BoxedError) -> Blockers {
    let waited = chain(error.as_ref()).contains(LOCK_TIMEOUT);
    Blockers(if waited { blockers::find(connection).unwrap_or_default() } else { Vec::new() })
}

fn timed(
    connection: &mut BlockingConnection,
    migration: &dyn Migration<Pg>,
    run: impl Fn(&mut BlockingConnection) -> Result<(), BoxedError>,
) -> Result<Step, MigrateError> {
    let name = migration.name().to_string();
    let is_concurrent = !migration.metadata().run_in_transaction();
    wait_for_locks(connection, if is_concurrent { CONCURRENT_LIMIT } else { LOCK_LIMIT })
        .map_err(MigrateError::Prepare)?;
    let start = Instant::now();
    let mut done = run(connection);
    for _ in 0..REPETITIONS {
        if is_concurrent || !was_changed_at_once(&done) {
            break;
        }
        done = run(connection);
    }
    match done {
        Ok(()) => Ok(Step { name, took: start.elapsed() }),
        Err(source) => Err(MigrateError::Step { name, blockers: blockers_of(connection, &source), source }),
    }
}

/// Roles and the database are shared by all cells: two migrators may change them at the same time.
fn was_changed_at_once(done: &Result<(), BoxedError>) -> bool {
    done.as_ref().is_err_and(|error| chain(error.as_ref()).contains(CHANGED_AT_ONCE))
}
