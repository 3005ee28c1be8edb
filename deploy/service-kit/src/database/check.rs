//! Checks that the database is what the process needs.
//!
//! The check reads only the catalog, whose tables nobody locks: a locked table does not make the database unusable.

mod catalog;
mod error;

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::Mutex;

use self::catalog::{Found, query_catalog};
pub use self::error::CheckError;
use super::attempt::Repeat;
use super::backend::Relation;
use super::{Database, DatabaseError, public_reason, session_validity};
use crate::health::Health;
use crate::telemetry::chain;

/// Pause between two checks. With a short grace the pause is a fraction of it: a success must not expire before the
/// next check. Until the first success the pause is shorter.
const EVERY: Duration = Duration::from_secs(1);
const CHECKS_IN_GRACE: u32 = 4;
const EVERY_AT_FIRST: Duration = Duration::from_millis(100);

/// A check that takes longer than this is slow. That alone proves nothing: the machine may be busy.
const SLOW: Duration = Duration::from_millis(1_500);

/// Limit of each of the two attempts of a check.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(3);

/// What a process needs of its database.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// Whether the process writes.
    pub writes: bool,
    /// The columns that the process uses: table, column, and the privilege `SELECT`, `INSERT`, `UPDATE` or `DELETE`.
    /// `DELETE` is checked on the table.
    pub columns: &'static [(&'static str, &'static str, &'static str)],
    /// The functions that the process calls. Each is in the schema of the tables, and the only one of its name there.
    pub functions: &'static [&'static str],
}

/// Checks a database periodically.
pub struct Checker {
    database: Database,
    needs: Needs,
    /// The columns as they were at the last check.
    last_shape: Mutex<Option<String>>,
}

impl Checker {
    /// Checks that `database` fulfils `needs`. It should have its own connection, so that other work cannot delay the
    /// check.
    #[must_use]
    pub fn new(database: Database, needs: Needs) -> Self {
        Self { database, needs, last_shape: Mutex::new(None) }
    }

    /// Whether the process can work with its database now.
    pub async fn check(&self) -> Result<(), CheckError> {
        let start = Instant::now();
        let found = self.query_with_fallback().await.map_err(CheckError::from_database)?;
        match found.relation {
            Relation::Same => {}
            Relation::Sessions => {
                self.database.pooling.forget().await;
                self.database.validity.invalidate_before(Instant::now(), &session_validity::EXCHANGED);
                return Err(CheckError::TransactionPooling);
            }
            Relation::Servers => {
                // A pooler in front of several servers looks the same; the next trial detects it.
                self.database.pooling.forget().await;
                self.database.validity.invalidate_before(Instant::now(), &session_validity::OTHER_SERVER);
                return Err(CheckError::OtherServer);
            }
        }
        if let Some(owner) = found.owner_elsewhere {
            // Its address may lead to the right node by now.
            self.database.validity.invalidate_before(Instant::now(), &session_validity::WRONG_NODE);
            return Err(CheckError::WrongNode(owner));
        }
        if let Some(lack) = lack_of(&found) {
            return Err(lack);
        }
        if self.needs.writes && found.read_only {
            self.database.validity.invalidate_before(Instant::now(), &session_validity::READ_ONLY);
            return Err(CheckError::ReadOnly);
        }
        self.compare_shape(found.shape, start).await;
        Ok(())
    }

    /// Queries the catalog on the existing connection. If that is slow, it also opens a new connection and queries
    /// there. If the new one responds first, the old one is dead, and so are probably all that were opened before.
    async fn query_with_fallback(&self) -> Result<Found, DatabaseError> {
        let needs = self.needs;
        let usual = self.database.attempt_twice(Repeat::Reads, ATTEMPT_LIMIT, |session| {
            async move { query_catalog(session, needs).await }.boxed()
        });
        let mut usual = pin!(usual);
        if let Ok(found) = tokio::time::timeout(SLOW, &mut usual).await {
            return found;
        }
        let opened = Instant::now();
        let new = async { query_catalog(&mut self.database.open().await.ok()?, needs).await.ok() };
        tokio::select! {
            biased;
            found = &mut usual => found,
            Some(found) = new => {
                self.database.validity.invalidate_before(opened, &session_validity::SILENT);
                Ok(found)
            }
            else => Err(DatabaseError::NoAnswer),
        }
    }

    /// Checks every second until the process stops; more often if the grace of `health` is short. Results go to
    /// `health`, and changes to the log. With `counts_as_success`, a check without a fault makes the process ready; a
    /// process with another measure of success sets it to `false`.
    pub async fn keep_checking(self, health: Health, counts_as_success: bool) {
        let every = EVERY.min(health.grace() / CHECKS_IN_GRACE);
        let checking = async {
            let mut last_error = None;
            loop {
                let checked = self.check().await;
                if checked.is_ok() && counts_as_success {
                    health.succeeded();
                }
                record(&health, checked, &mut last_error);
                tokio::time::sleep(if health.has_succeeded() { every } else { every.min(EVERY_AT_FIRST) })
                    .await;
            }
        };
        tokio::select! {
            () = health.stopping() => {}
            () = checking => {}
        }
    }

    /// After a column changed, statements prepared earlier fail.
    async fn compare_shape(&self, shape: Option<String>, queried_at: Instant) {
        let mut last = self.last_shape.lock().await;
        if last.is_some() && *last != shape {
            self.database.validity.invalidate_before(queried_at, &session_validity::COLUMN_CHANGED);
        }
        *last = shape;
    }
}

fn record(health: &Health, checked: Result<(), CheckError>, last_error: &mut Option<String>) {
    let Err(error) = checked else {
        health.clear_fault();
        if last_error.take().is_some() {
            tracing::info!("the database can be used again");
        }
        return;
    };
    let lasting = error.is_lasting();
    let text = chain(&error);
    // The probe must not show messages of the database.
    let reason = match error {
        CheckError::Database(error) => format!("The database cannot be used. {}", public_reason(&error)),
        CheckError::WrongNode(_) => "Another node of Citus owns the schema; the log says which.".to_owned(),
        other => other.to_string(),
    };
    health.report_fault(reason, lasting);
    if last_error.as_ref() != Some(&text) {
        tracing::warn!(error = text, lasting, "the database cannot be used");
        *last_error = Some(text);
    }
}

/// What the database or the role lacks. The order matters: where the schema is wrong, so are its columns.
fn lack_of(found: &Found) -> Option<CheckError> {
    if found.encoding != "UTF8" {
        return Some(CheckError::Encoding(found.encoding.clone()));
    }
    let lack = |lack: &Option<String>, error: fn(String) -> CheckError| lack.clone().map(error);
    lack(&found.wrong_path, CheckError::SearchPath)
        .or_else(|| lack(&found.missing_column, CheckError::MissingColumn))
        .or_else(|| lack(&found.misplaced, CheckError::OtherSchema))
        .or_else(|| lack(&found.missing_function, CheckError::MissingFunction))
        .or_else(|| lack(&found.missing_privilege, CheckError::MissingPrivilege))
}
