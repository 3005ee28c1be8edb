//! A command on its way to the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::save_batch::SaveRow;
use crate::budget::Share;
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
    /// Its place among the commands that may wait, until it is claimed.
    pub(super) slot: Option<OwnedSemaphorePermit>,
    /// The memory that the command takes, however soon its caller is gone.
    pub(super) share: Share,
}

impl Job {
    /// Whether its caller has given it up, and was answered that nothing was stored.
    pub(super) fn is_given_up(&self) -> bool {
        self.decided.load(Ordering::Acquire)
    }

    /// The command, if it may still be tried.
    pub(super) fn claim(mut self) -> Option<Self> {
        self.slot = None;
        (!self.decided.swap(true, Ordering::AcqRel)).then_some(self)
    }

    /// Whoever asked may have hung up, which changes nothing about what was stored.
    pub(super) fn answer(self, result: Result<Saved, WriteError>) {
        let Self { answer, row, share, .. } = self;
        // First: the next command must find the memory that this one took free again.
        drop((row, share));
        let _hung_up = answer.send(result);
    }
}
