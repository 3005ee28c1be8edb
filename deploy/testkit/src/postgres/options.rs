//! How to start a private server.

use std::path::PathBuf;

/// The purpose of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuning {
    /// PostgreSQL's default: commits survive a crash of the machine.
    Durable,
    /// Durable, with the commit time of each transaction, for benchmarks.
    Measured,
    /// Fast, for tests; a crash of the machine loses data.
    Throwaway,
}

/// How to start a private server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    pub tuning: Tuning,
    /// The data directory, which is kept. `None` for a temporary one, which is removed with the server.
    pub data_dir: Option<PathBuf>,
}
