//! A command on its way to the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// Set by whoever decides first: the task that takes the command into a batch, or the caller that gives it up.
    pub(super) decided: Arc<AtomicBool>,
    pub(super) answer: oneshot::Sender<Result<Saved, WriteError>>,
}

impl Job {
    /// Whether the command may still be tried. If not, its caller has been told that nothing was stored.
    pub(super) fn take_up(&self) -> bool {
        !self.decided.swap(true, Ordering::AcqRel)
    }

    /// Whoever asked may have hung up, which changes nothing about what was stored.
    pub(super) fn answer(self, result: Result<Saved, WriteError>) {
        let _hung_up = self.answer.send(result);
    }
}
