//! A queued write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::save_batch::SaveRow;
use crate::budget::Share;
use crate::port::{Saved, WriteError};

/// A queued write, and the channel on which its caller waits for the reply.
#[derive(Debug)]
pub(super) struct PendingWrite {
    pub(super) row: SaveRow,
    /// Its caller stops waiting at this time.
    pub(super) deadline: Instant,
    /// An earlier attempt may have stored it.
    pub(super) outcome_unknown: bool,
    /// How often PostgreSQL failed on it when it was tried alone.
    pub(super) failures: u32,
    /// Claimed once: by the task that takes it into a batch, or by the caller that withdraws it at its deadline.
    pub(super) claimed: Arc<AtomicBool>,
    pub(super) reply: oneshot::Sender<Result<Saved, WriteError>>,
    /// Its slot among the writes that may wait. It is free once the write is claimed.
    pub(super) slot: Option<OwnedSemaphorePermit>,
    /// The memory that the write takes, even after its caller is gone.
    pub(super) share: Share,
}

impl PendingWrite {
    /// Whether its caller has withdrawn it, with the reply that nothing was stored.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.claimed.load(Ordering::Acquire)
    }

    /// The write, if its caller has not withdrawn it.
    pub(super) fn try_claim(mut self) -> Option<Self> {
        self.slot = None;
        (!self.claimed.swap(true, Ordering::AcqRel)).then_some(self)
    }

    /// Replies to the caller, who may be gone; that changes nothing about what was stored.
    pub(super) fn reply(self, result: Result<Saved, WriteError>) {
        let Self { reply, row, share, .. } = self;
        // Memory first: the caller's next request must find it free.
        drop((row, share));
        let _caller_is_gone = reply.send(result);
    }
}
