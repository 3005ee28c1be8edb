//! Why a private server could not be started.

use std::io;
use std::path::PathBuf;

use super::BinariesError;
use crate::wait::TimedOut;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    #[error("cannot prepare {what}")]
    Prepare {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("{} is neither empty nor a PostgreSQL data directory; it was not changed", .0.display())]
    NotADataDir(PathBuf),
    #[error("{program} failed: {stderr}")]
    Create { program: &'static str, stderr: String },
    #[error("the server ended before it was ready; its log:\n{0}")]
    Ended(String),
    #[error("the server did not become ready")]
    NotReady(#[source] TimedOut),
}

pub(crate) fn prepare(what: impl Into<String>) -> impl FnOnce(io::Error) -> ServerError {
    let what = what.into();
    move |source| ServerError::Prepare { what, source }
}
