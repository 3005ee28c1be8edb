//! Why the migrator stops.

use std::fmt;
use std::path::PathBuf;

use diesel::ConnectionError;
use service_kit::config::ConfigError;
use service_kit::database::ConnectError;

use crate::schema_name::SchemaName;
use crate::{BoxedError, Report};

/// Nothing for a name that the migrator does not give to a schema.
fn how_to_make(schema: &str) -> String {
    match SchemaName::of_cell(schema) {
        Ok(name) => {
            format!(". `migrate up --schema {name}` creates one, with a DATABASE_URL that has no search_path")
        }
        Err(_) => String::new(),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database cannot store all text.
    #[error(
        "the database has the encoding {0}, but only UTF8 can store every order: create it anew with ENCODING 'UTF8'"
    )]
    Encoding(String),
    #[error(transparent)]
    Url(#[from] ConfigError),
    #[error("cannot connect to the database")]
    Connect(#[from] ConnectError),
    #[error("the connection cannot be used")]
    Use(#[source] ConnectionError),
    #[error("cannot prepare the session")]
    Prepare(#[source] diesel::result::Error),
    #[error("cannot create the schema {schema}")]
    CreateSchema {
        schema: String,
        #[source]
        source: diesel::result::Error,
    },
    /// Otherwise the tables of the next schema in `search_path` would be changed.
    #[error("there is no schema {0}, or the role may not use it{hint}", hint = how_to_make(.0))]
    NoSchema(String),
    #[error("search_path names no schema that the role may use")]
    EmptySearchPath,
    #[error("DATABASE_URL has a search_path, which --schema and --all-cells replace: leave it out")]
    TwoSchemas,
    #[error(
        "the schema has the history of other migrations: those of this build belong in a schema without one, and \
         those of each --folder in a schema of their own"
    )]
    OtherHistory,
    /// So the migrator reads nothing of it.
    #[error(
        "the schema {schema} has the tables of a cell, but they belong to {owner}: give them to the role that \
         migrates, or name each cell with --schema"
    )]
    ForeignCell { schema: String, owner: String },
    #[error("the database has {0} cells, which are too many: name each with --schema")]
    TooManyCells(usize),
    /// Another migrator ran for longer than ten minutes.
    #[error("another migrator is still running")]
    AlreadyRunning,
    /// Its connection ended.
    #[error("the lock of this migrator was lost: run it again")]
    LockLost(#[source] diesel::result::Error),
    #[error("cannot examine the database")]
    Examine(#[source] diesel::result::Error),
    /// Before any migration: what a role may do beyond its grants would make them worthless.
    #[error("a role has more rights than its process may have: {}. Then run this again", listed(.0))]
    Rights(Report),
    #[error("cannot determine the applied migrations")]
    History(#[source] BoxedError),
    /// A migration failed. Either it was rolled back, or the next run does that first. Earlier migrations stay applied.
    #[error("migration {name} failed{blockers}")]
    Step {
        name: String,
        blockers: Blockers,
        #[source]
        source: BoxedError,
    },
    #[error("the migrations in {} cannot be read", folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        source: BoxedError,
    },
    #[error("the migration task did not finish")]
    Task(#[source] tokio::task::JoinError),
}

/// Sessions that hold the locks for which a migration waited in vain.
#[derive(Debug)]
pub struct Blockers(pub(crate) Vec<String>);

impl fmt::Display for Blockers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(sessions) = self;
        if sessions.is_empty() {
            return Ok(());
        }
        let sessions = sessions.join(", ");
        write!(
            f,
            " (what may hold its locks, in a transaction that lasts: {sessions}; end it, and run this again)"
        )
    }
}

/// Each finding with its remedy, in one line.
fn listed(report: &Report) -> String {
    let each = report.findings.iter().map(|one| format!("{} (remedy: {})", one.finding, one.remedy));
    each.collect::<Vec<_>>().join("; ")
}
