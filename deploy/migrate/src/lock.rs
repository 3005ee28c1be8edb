//! One migrator at a time in a schema.
//!
//! A migrator locks the table with the history of migrations. Only a role that may change that table can lock it,
//! unlike an advisory lock, which every role can take. The lock lasts for one transaction, and some migrations cannot
//! run in one. So a connection of its own holds it: it is idle, without a snapshot, so that CREATE INDEX CONCURRENTLY
//! does not wait for it. The lock ends with the process, even if that is killed.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::migration::MigrationConnection;
use diesel::sql_types::{BigInt, Bool, Nullable};
use diesel::{QueryResult, RunQueryDsl};

use crate::MigrateError;
use crate::session::{BlockingConnection, Target};

/// How long a migrator waits for others.
const LIMIT: Duration = Duration::from_mins(10);

/// The advisory lock of migrators of earlier releases.
const ADVISORY_LOCK: i64 = 7_214_380_665;

/// Pause between two attempts. A statement that waits for a lock would hold a snapshot, and CREATE INDEX CONCURRENTLY
/// waits for the end of all snapshots.
const PAUSE: Duration = Duration::from_millis(100);

/// The lock. It ends with this value.
pub(crate) struct Lock {
    holder: BlockingConnection,
}

impl Lock {
    /// Waits for other migrators, also of earlier releases. `worker` is the connection that will migrate.
    pub(crate) fn take(target: &Target, worker: &mut BlockingConnection) -> Result<Self, MigrateError> {
        let start = Instant::now();
        let mut holder = target.connect()?;
        prepare(&mut holder).map_err(MigrateError::Prepare)?;
        let mut waits = false;
        while !try_lock(&mut holder).map_err(MigrateError::Prepare)? {
            if !std::mem::replace(&mut waits, true) {
                tracing::info!("another migrator works in this schema: waiting");
            }
            pause(start)?;
        }
        wait_for_earlier_releases(worker, start)?;
        Ok(Self { holder })
    }

    /// Fails if the connection that holds the lock has ended: another migrator may have begun.
    pub(crate) fn check(&mut self) -> Result<(), MigrateError> {
        self.holder.batch_execute("").map_err(MigrateError::LockLost)
    }
}

impl Drop for Lock {
    /// The server would log a session that ends within a transaction.
    fn drop(&mut self) {
        let _lost = self.holder.batch_execute("ROLLBACK");
    }
}

fn pause(since: Instant) -> Result<(), MigrateError> {
    if since.elapsed() > LIMIT {
        return Err(MigrateError::AlreadyRunning);
    }
    std::thread::sleep(PAUSE);
    Ok(())
}

/// Makes the table if there is none, and lets the session be idle for as long as the migrations take.
fn prepare(holder: &mut BlockingConnection) -> QueryResult<()> {
    // Two migrators that create the table at the same time: the second attempt finds it.
    if holder.setup().is_err() {
        holder.setup()?;
    }
    holder.batch_execute(
        "SELECT set_config(name, '0', false) FROM pg_settings
         WHERE name IN ('idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')",
    )
}

/// Begins the transaction with the lock. The mode conflicts with itself, and not with rows that migrations add to the
/// history.
fn try_lock(holder: &mut BlockingConnection) -> QueryResult<bool> {
    holder.batch_execute("BEGIN")?;
    let lock = "LOCK TABLE __diesel_schema_migrations IN SHARE UPDATE EXCLUSIVE MODE NOWAIT";
    let Err(error) = holder.batch_execute(lock) else { return Ok(true) };
    holder.batch_execute("ROLLBACK")?;
    // diesel does not tell why it failed: another migrator has the lock, or this one may not lock the table.
    let may_lock = diesel::dsl::sql::<Bool>("has_table_privilege('__diesel_schema_migrations', 'UPDATE')");
    let may_lock: bool = diesel::select(may_lock).get_result(holder)?;
    if may_lock { Ok(false) } else { Err(error) }
}

/// Migrators of earlier releases know the advisory lock only: takes it too, so that they wait, and waits for one that
/// has it. It is one for the whole database, so migrators of this release share it: each is in a schema of its own. A
/// session that could not migrate is not waited for: every role can take the lock, perhaps to stop others.
fn wait_for_earlier_releases(worker: &mut BlockingConnection, start: Instant) -> Result<(), MigrateError> {
    while !try_advisory_lock(worker).map_err(MigrateError::Prepare)? {
        // None: it has just been released, and a migrator may take it.
        if may_holder_migrate(worker).map_err(MigrateError::Prepare)? == Some(false) {
            tracing::warn!("a session that cannot migrate holds the advisory lock of migrators: ignored");
            return Ok(());
        }
        pause(start)?;
    }
    Ok(())
}

fn try_advisory_lock(worker: &mut BlockingConnection) -> QueryResult<bool> {
    let lock =
        diesel::dsl::sql::<Bool>("pg_try_advisory_lock_shared(").bind::<BigInt, _>(ADVISORY_LOCK).sql(")");
    diesel::select(lock).get_result(worker)
}

/// Whether the session that holds the advisory lock alone has the rights of a migrator. None if no session does.
fn may_holder_migrate(worker: &mut BlockingConnection) -> QueryResult<Option<bool>> {
    let holder = diesel::dsl::sql::<Nullable<Bool>>(
        "(SELECT bool_or(has_table_privilege(usesysid, '__diesel_schema_migrations', 'INSERT'))
            FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE locktype = 'advisory' AND granted AND datname = current_database() AND database = datid
                AND mode = 'ExclusiveLock' AND objsubid = 1 AND classid::bigint << 32 | objid::bigint = ",
    )
    .bind::<BigInt, _>(ADVISORY_LOCK)
    .sql(")");
    diesel::select(holder).get_result(worker)
}
