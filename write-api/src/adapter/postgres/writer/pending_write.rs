//! A queued write and the channel on which its caller waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::metrics::WriteMetrics;
use super::save_batch::SaveRow;
use super::trace::WriteTrace;
use crate::budget::Share;
use crate::port::{SaveResult, WriteError};

#[derive(Debug)]
pub(super) struct PendingWrite {
    pub(super) row: SaveRow,
    /// When its caller stops waiting.
    pub(super) deadline: Instant,
    /// An earlier attempt may have stored it.
    pub(super) outcome_unknown: bool,
    /// How often PostgreSQL rejected it when it was tried alone.
    pub(super) failures: u32,
    /// Set once: by the batcher that executes the write, or by the caller that gives up at its deadline.
    pub(super) withdrawn_or_started: Arc<AtomicBool>,
    pub(super) reply: oneshot::Sender<Result<SaveResult, WriteError>>,
    /// Its slot in the queue, released when the batcher starts the write.
    pub(super) slot: Option<OwnedSemaphorePermit>,
    /// The memory of the write, held even if its caller is gone.
    pub(super) share: Share,
    pub(super) metrics: Arc<WriteMetrics>,
    /// None if the trace of its request is not recorded.
    pub(super) trace: Option<Arc<WriteTrace>>,
}

impl PendingWrite {
    /// Whether the caller of this queued write has given up. The caller reports that nothing was stored, so the write
    /// must not be executed.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.withdrawn_or_started.load(Ordering::Acquire)
    }

    /// The write, to be executed, unless its caller has given up.
    pub(super) fn try_start(mut self) -> Option<Self> {
        self.slot = None;
        (!self.withdrawn_or_started.swap(true, Ordering::AcqRel)).then_some(self)
    }

    /// Replies to the caller. If the caller is gone, the write is stored all the same.
    pub(super) fn reply(self, result: Result<SaveResult, WriteError>) {
        if self.outcome_unknown {
            self.metrics.resolved(&result);
        }
        let Self { reply, row, share, .. } = self;
        // Release the memory first: the caller's next request must find it free.
        drop((row, share));
        let _caller_is_gone = reply.send(result);
    }
}
