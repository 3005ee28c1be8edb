//! A command on its way to the database.

use std::time::Instant;

use tokio::sync::oneshot;

use super::save_batch::SaveRow;
use crate::port::{Saved, WriteError};

/// A command that waits to be stored, and for whom its answer is.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) row: SaveRow,
    /// After this nobody waits for the answer any more.
    pub(super) deadline: Instant,
    /// Whether an attempt may have stored it without our knowing.
    pub(super) unknown: bool,
    /// How often PostgreSQL failed on it alone.
    pub(super) failures: u32,
    pub(super) answer: oneshot::Sender<Result<Saved, WriteError>>,
}

impl Job {
    /// Whoever asked may have hung up, which changes nothing about what was stored.
    pub(super) fn answer(self, result: Result<Saved, WriteError>) {
        let _hung_up = self.answer.send(result);
    }
}
