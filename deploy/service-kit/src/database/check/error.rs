//! Why a process cannot work with its database.

use crate::database::{ConnectError, DatabaseError, PoolError};

/// Why the process cannot work with its database.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The database cannot be used now.
    #[error("the database cannot be used")]
    Database(#[from] DatabaseError),
    /// A process that writes is connected to a read-only server.
    #[error("the database is read-only: it is a standby, or default_transaction_read_only is on")]
    ReadOnly,
    /// The database cannot store all text.
    #[error(
        "the database has the encoding {0}, but only UTF8 can store every order: create it anew with ENCODING 'UTF8'"
    )]
    Encoding(String),
    /// What the process reads here is wrong.
    #[error("{}", ConnectError::WrongNode(.0.clone()))]
    WrongNode(String),
    /// Unqualified names may lead to the tables of another cell.
    #[error("{0}: in the options of DATABASE_URL, set search_path to the one schema that has the tables")]
    SearchPath(String),
    /// The schema is not the one of this build.
    #[error("the database lacks the column {0}: apply the migrations of this version")]
    MissingColumn(String),
    /// The schema is not the one of this build.
    #[error("the database lacks the function {0}: apply the migrations of this version")]
    MissingFunction(String),
    /// The session does not look for tables where the product has them.
    #[error(
        "the session uses the table {0}: set search_path in the options of DATABASE_URL only, neither for the role nor \
         for the database"
    )]
    OtherSchema(String),
    /// The role of `DATABASE_URL` is not the one of this process.
    #[error("the role of DATABASE_URL lacks the privilege {0}")]
    MissingPrivilege(String),
    /// A pooler assigns a session per transaction.
    #[error("{}", ConnectError::TransactionPooling)]
    TransactionPooling,
    /// The connection now leads to another server.
    #[error("a connection led to another server")]
    OtherServer,
    /// A pooler resets the settings of a session.
    #[error(
        "{0}: DATABASE_URL leads to a pooler that resets sessions; use session mode, or connect to PostgreSQL directly"
    )]
    LostSetting(String),
}

impl CheckError {
    /// Whether the error needs an operator: it does not go away by itself.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        !matches!(self, Self::Database(_) | Self::ReadOnly | Self::OtherServer)
    }

    pub(super) fn from_database(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Connect(PoolError::Backend(ConnectError::TransactionPooling)) => {
                Self::TransactionPooling
            }
            DatabaseError::Connect(PoolError::Backend(ConnectError::LostSetting(setting))) => {
                Self::LostSetting(setting.to_string())
            }
            DatabaseError::Connect(PoolError::Backend(ConnectError::ReadOnly)) => Self::ReadOnly,
            DatabaseError::Connect(PoolError::Backend(ConnectError::WrongNode(owner))) => {
                Self::WrongNode(owner)
            }
            other => Self::Database(other),
        }
    }
}
