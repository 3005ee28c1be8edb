//! Whether the database is what the process needs.
//!
//! Only the catalog is asked, whose tables nobody locks: a table that somebody has locked is not a database that cannot be
//! used, however long the lock lasts.

mod look;

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::Mutex;

use self::look::{Found, look};
use super::backend::Relation;
use super::{ConnectError, Database, DatabaseError, PoolError, Repeat, trust};
use crate::health::Health;
use crate::telemetry::chain;

/// The pause between two checks, and the one until the first success. Where the grace is short the pause is a part of it: a
/// success must not expire before the next check.
const EVERY: Duration = Duration::from_secs(1);
const CHECKS_IN_GRACE: u32 = 4;
const EVERY_AT_FIRST: Duration = Duration::from_millis(100);

/// A check that takes longer than this is slow, which says nothing by itself: the machine may be busy.
const SLOW: Duration = Duration::from_millis(1_500);

/// How long each of the two attempts of a check may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(3);

/// What a process needs of its database.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// Whether it writes.
    pub writes: bool,
    /// The columns that it uses, and the privilege that it needs on each: table, column, and `SELECT`, `INSERT`, `UPDATE`, or
    /// `DELETE`, which is one on the table.
    pub columns: &'static [(&'static str, &'static str, &'static str)],
}

/// Checks a database again and again.
pub struct Checker {
    database: Database,
    needs: Needs,
    /// The columns as they were at the last check.
    last_shape: Mutex<Option<String>>,
}

/// Why the process cannot work with its database.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It cannot be used now.
    #[error("the database cannot be used")]
    Database(#[from] DatabaseError),
    /// A process that writes has reached a server that only reads.
    #[error("the database is read-only: it is a standby, or default_transaction_read_only is on")]
    ReadOnly,
    /// The database cannot hold all text.
    #[error(
        "the database has the encoding {0}; only UTF8 can hold every order: create it anew with ENCODING 'UTF8'"
    )]
    Encoding(String),
    /// The schema is not that of this build.
    #[error("the database lacks the column {0}: apply the migrations of this version")]
    MissingColumn(String),
    /// The role of `DATABASE_URL` is not the one of this process.
    #[error("the role of DATABASE_URL lacks the privilege {0}")]
    MissingPrivilege(String),
    /// A pooler gives each transaction another session.
    #[error("{}", ConnectError::TransactionPooling)]
    TransactionPooling,
    /// Something in between has connected to another server.
    #[error("a connection has come to another server")]
    OtherServer,
    /// A pooler takes the settings away from a session.
    #[error(
        "{0}: DATABASE_URL leads to a pooler that resets sessions; use session mode, or connect to PostgreSQL directly"
    )]
    LostSetting(String),
}

impl CheckError {
    /// Whether it does not pass by itself.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        !matches!(self, Self::Database(_) | Self::ReadOnly | Self::OtherServer)
    }

    fn of(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Connect(PoolError::Backend(ConnectError::TransactionPooling)) => {
                Self::TransactionPooling
            }
            DatabaseError::Connect(PoolError::Backend(ConnectError::LostSetting(setting))) => {
                Self::LostSetting(setting.to_string())
            }
            DatabaseError::Connect(PoolError::Backend(ConnectError::ReadOnly)) => Self::ReadOnly,
            other => Self::Database(other),
        }
    }
}

impl Checker {
    /// Checks that `database` is what `needs` says. It should have a connection of its own, which no other work can use up.
    #[must_use]
    pub fn new(database: Database, needs: Needs) -> Self {
        Self { database, needs, last_shape: Mutex::new(None) }
    }

    /// Whether the process can work with its database now.
    ///
    /// # Errors
    ///
    /// [`CheckError`].
    pub async fn check(&self) -> Result<(), CheckError> {
        let asked = Instant::now();
        let found = self.look().await.map_err(CheckError::of)?;
        match found.relation {
            Relation::Same => {}
            Relation::Sessions => {
                self.database.pooling.forget().await;
                self.database.trust.discard_before(Instant::now(), &trust::EXCHANGED);
                return Err(CheckError::TransactionPooling);
            }
            Relation::Servers => {
                // A pooler before several servers does so too: the next trial names it.
                self.database.pooling.forget().await;
                self.database.trust.discard_before(Instant::now(), &trust::OTHER_SERVER);
                return Err(CheckError::OtherServer);
            }
        }
        if found.encoding != "UTF8" {
            return Err(CheckError::Encoding(found.encoding));
        }
        if let Some(column) = found.missing_column {
            return Err(CheckError::MissingColumn(column));
        }
        if let Some(privilege) = found.missing_privilege {
            return Err(CheckError::MissingPrivilege(privilege));
        }
        if self.needs.writes && found.read_only {
            self.database.trust.discard_before(Instant::now(), &trust::READ_ONLY);
            return Err(CheckError::ReadOnly);
        }
        self.compare_shape(found.shape, asked).await;
        Ok(())
    }

    /// Looks at the database on the usual connection. If that is slow, a new one is asked as well. A new connection takes longer
    /// to answer: if it is first nevertheless, the usual one has gone silent, and others of its age will have.
    async fn look(&self) -> Result<Found, DatabaseError> {
        let columns = self.needs.columns;
        let usual = self.database.attempt_twice(Repeat::Reads, ATTEMPT_LIMIT, |session| {
            async move { look(session, columns).await }.boxed()
        });
        let mut usual = pin!(usual);
        if let Ok(found) = tokio::time::timeout(SLOW, &mut usual).await {
            return found;
        }
        let opened = Instant::now();
        let new = async { look(&mut self.database.open().await.ok()?, columns).await.ok() };
        tokio::select! {
            biased;
            found = &mut usual => found,
            Some(found) = new => {
                self.database.trust.discard_before(opened, &trust::SILENT);
                Ok(found)
            }
            else => Err(DatabaseError::NoAnswer),
        }
    }

    /// Checks every second, or more often where the grace of `health` is short, until the process stops. What is found goes to
    /// `health`, and into the log when it changes. A check that passes is a success of the process if `counts` says so: not where
    /// work of another kind is the measure.
    pub async fn keep_checking(self, health: Health, counts: bool) {
        let every = EVERY.min(health.grace() / CHECKS_IN_GRACE);
        let checking = async {
            let mut last_error = None;
            loop {
                let checked = self.check().await;
                if checked.is_ok() && counts {
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

    /// Statements that were prepared before a column changed fail from then on.
    async fn compare_shape(&self, shape: Option<String>, asked: Instant) {
        let mut last = self.last_shape.lock().await;
        if last.is_some() && *last != shape {
            self.database.trust.discard_before(asked, &trust::COLUMN_CHANGED);
        }
        *last = shape;
    }
}

fn record(health: &Health, checked: Result<(), CheckError>, last_error: &mut Option<String>) {
    let Err(error) = checked else {
        health.unobstructed();
        if last_error.take().is_some() {
            tracing::info!("the database can be used again");
        }
        return;
    };
    let lasting = error.is_lasting();
    let said = chain(&error);
    // What the database itself says stays with us.
    let reason = match error {
        CheckError::Database(_) => "The database cannot be used.".to_owned(),
        other => other.to_string(),
    };
    health.obstructed(reason, lasting);
    if last_error.as_ref() != Some(&said) {
        tracing::warn!(error = said, lasting, "the database cannot be used");
        *last_error = Some(said);
    }
}
