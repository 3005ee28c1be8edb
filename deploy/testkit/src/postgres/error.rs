//! Why a private server could not be started.

use std::io;
use std::path::PathBuf;

use super::BinariesError;
use crate::wait::TimedOut;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No PostgreSQL on this machine.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// A directory or user that is needed could not be had.
    #[error("cannot prepare {what}")]
    Prepare {
        /// What was being prepared.
        what: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The data directory holds something else.
    #[error("{} is neither empty nor a PostgreSQL data directory; it was left as it is", .0.display())]
    NotADataDir(PathBuf),
    /// The data directory could not be created.
    #[error("{program} failed: {said}")]
    Create {
        /// Which program of PostgreSQL.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// The server ended before it was ready.
    #[error("the server ended before it was ready; its log says:\n{0}")]
    Ended(String),
    /// The server was not ready in time.
    #[error("the server did not become ready")]
    NotReady(#[source] TimedOut),
}

pub(super) fn prepare(what: impl Into<String>) -> impl FnOnce(io::Error) -> ServerError {
    let what = what.into();
    move |source| ServerError::Prepare { what, source }
}
