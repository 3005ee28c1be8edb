//! The outbox, the events that wait and the parked events in PostgreSQL.

use std::time::Duration;

use service_kit::config::ConfigError;
use service_kit::database::{Database, DatabaseConfig};

pub use self::needs::NEEDS;

pub mod claimed;
pub mod deferred;
pub mod frontier;
mod needs;
pub mod observation;
pub mod outbox;
pub mod parked_events;
pub mod parking;
pub mod waiting;

/// Every statement finds its rows by key, in the order of the key, or by place. The outbox is empty at one moment and full at
/// the next, and a plan that was made while it was empty is kept: it must not scan the whole table, nor read all that waits
/// by a bitmap and sort it for each batch. Where there is no other way than a scan, as with a sequence, that counts as so costly
/// that PostgreSQL would compile the statement first, for 50 ms.
const BY_KEY_ONLY: &[&str] = &["enable_seqscan=off", "enable_bitmapscan=off", "jit=off"];

/// The database as the projector uses it.
///
/// # Errors
///
/// [`ConfigError`] when `DATABASE_URL` is not one.
pub fn open(config: &DatabaseConfig, process: &str) -> Result<Database, ConfigError> {
    config.clone().with_settings(BY_KEY_ONLY).for_writes().open(process)
}

/// The same for draining: a lock is waited for only as long as two workers keep each other waiting. A row that is locked for
/// longer is somebody's, and its events are set aside.
const LONGEST_LOCK_WAIT: Duration = Duration::from_millis(50);

/// The database as the loops that drain use it.
///
/// # Errors
///
/// [`ConfigError`] when `DATABASE_URL` is not one.
pub fn open_for_draining(config: &DatabaseConfig, process: &str) -> Result<Database, ConfigError> {
    open(&config.clone().with_lock_timeout_up_to(LONGEST_LOCK_WAIT), process)
}
