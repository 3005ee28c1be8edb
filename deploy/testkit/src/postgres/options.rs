//! How to start a private server.

use std::path::PathBuf;

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuning {
    /// As safe as PostgreSQL is by default: what is committed survives a crash of the machine.
    Durable,
    /// Durable, and it keeps when each transaction was committed: for benchmarks.
    Measured,
    /// Fast and forgetful, for tests.
    Throwaway,
}

/// How to start a private server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// What it is for.
    pub tuning: Tuning,
    /// Where its data lives on; `None` puts it into the temporary directory that goes with the server.
    pub data_dir: Option<PathBuf>,
}
