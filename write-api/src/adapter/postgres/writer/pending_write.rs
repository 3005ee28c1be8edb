//! A queued write and the channel on which its caller waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::save_batch::SaveRow;
use crate::budget::Share;
use crate::port::{Saved, WriteError};

#[derive(Debug)]
pub(super) struct PendingWrite {
    pub(super) row: SaveRow,
    /// When its caller stops waiting.
    pub(super) deadline: Instant,
    /// An earlier attempt may have stored it.
    pub(super) outcome_unknown: bool,
    /// How often PostgreSQL rejected it when it was tried alone.
    pub(super) failures: u32,
    /// Set once: by the batcher when it takes the write into a batch, or by the caller when it withdraws the write at
    /// its deadline.
    pub(super) claimed: Arc<AtomicBool>,
    pub(super) reply: oneshot::Sender<Result<Saved, WriteError>>,
    /// Its slot in the queue, released when the write is claimed.
    pub(super) slot: Option<OwnedSemaphorePermit>,
    /// The memory of the write, held even if its caller is gone.
    pub(super) share: Share,
}

impl PendingWrite {
    /// Whether the caller has withdrawn it. The caller then reports that nothing was stored.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.claimed.load(Ordering::Acquire)
    }

    /// Claims the write for a batch, unless the caller has withdrawn it.
    pub(super) fn try_claim(mut self) -> Option<Self> {
        self.slot = None;
        (!self.claimed.swap(true, Ordering::AcqRel)).then_some(self)
    }

    /// Replies to the caller. If the caller is gone, the write is stored all the same.
    pub(super) fn reply(self, result: Result<Saved, WriteError>) {
        let Self { reply, row, share, .. } = self;
        // Release the memory first: the caller's next request must find it free.
        drop((row, share));
        let _caller_is_gone = reply.send(result);
    }
}
