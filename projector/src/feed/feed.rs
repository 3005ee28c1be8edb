//! Serves one request: reads, and waits where there is nothing yet.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::Gauge;
use service_kit::shares::{Held, OverShare};
use tokio::sync::{Semaphore, TryAcquireError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::checkpoint::Checkpoint;
use super::histories::{Histories, Standing};
use super::page::{Chunk, Page, PageError, SharedChunk};
use super::query::{After, FeedQuery};
use super::reads::{HOLE_PAUSE, ReadError, Reads, Size};
use crate::budget::Budget;
use crate::event_log::EventLog;
use crate::outbox::LowWaterMark;

/// What the requests of one process share.
pub(super) struct Feed {
    pub(super) reads: Reads,
    pub(super) log: EventLog,
    pub(super) low_water_mark: Arc<LowWaterMark>,
    pub(super) budget: Arc<Budget>,
    /// One for each request that may wait.
    pub(super) waiters: Semaphore,
    pub(super) waiting: Gauge,
    /// Requests that wait get their response at once.
    pub(super) drain: CancellationToken,
    pub(super) known: Mutex<Known>,
}

/// What was last seen of the log, so that most checkpoints need no query.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    history: i64,
    /// Positions up to this one were allocated in this history.
    up_to: i64,
}

/// Why a request gets no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum FeedError {
    /// The checkpoint is of another database.
    #[error("the checkpoint is of another database")]
    Foreign,
    /// A failover lost events that the client has; the log goes on after this checkpoint.
    #[error("the checkpoint is beyond a failover")]
    BeyondFailover(Checkpoint),
    /// Events after the checkpoint are no longer in the log.
    #[error("the log no longer has the events after the checkpoint")]
    Expired,
    /// Events are not logged.
    #[error("the event log is switched off")]
    NotLogged,
    /// Too many requests of this caller wait.
    #[error(transparent)]
    OverShare(#[from] OverShare),
    /// Too many requests wait.
    #[error("too many requests wait for events")]
    TooManyWait,
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The response cannot be made.
    #[error(transparent)]
    Page(#[from] PageError),
}

impl Feed {
    /// The next events. If there are none, waits for them up to `wait`, in the share that `begin` takes, or until the
    /// grant has `ended`.
    pub(super) async fn page(
        &self,
        query: &FeedQuery,
        wait: Duration,
        ended: impl Future<Output = ()>,
        begin: impl Fn() -> Result<Held, OverShare>,
    ) -> Result<Page, FeedError> {
        let mut ended = pin!(ended);
        let deadline = Instant::now() + wait;
        let mut size = Size::for_limit(query.limit());
        let mut checkpoint = self.checkpoint(query.after()).await?;
        let is_explicit = matches!(query.after(), After::Checkpoint(_));
        let mut slot = None;
        loop {
            let chunk = self.read(checkpoint.position, size, wait).await?;
            match self.check(checkpoint, &chunk).await {
                // The oldest events expired in this moment.
                Err(FeedError::Expired) if !is_explicit => {
                    checkpoint = self.checkpoint(query.after()).await?;
                    continue;
                }
                checked => checked?,
            }
            let page = chunk.page(&query.kinds, query.limit(), &self.budget)?;
            if page.events > 0 || Instant::now() >= deadline || self.drain.is_cancelled() {
                return Ok(page);
            }
            if slot.is_none() {
                slot = Some(self.waiter(begin()?)?);
            }
            checkpoint = page.checkpoint;
            if page.has_more {
                // No event of a wanted kind so far.
                size = Size::Large;
                continue;
            }
            let is_at_hole = chunk.read().hole.is_some();
            // A request that waits holds no memory for events.
            drop(chunk);
            let until_next = self.until_more(checkpoint.position, is_at_hole, deadline);
            tokio::select! {
                biased;
                () = &mut ended => return Ok(page),
                () = self.drain.cancelled() => return Ok(page),
                () = until_next => {}
            }
        }
    }

    /// Requests that wait share reads. Others get what the log has now.
    async fn read(&self, after: i64, size: Size, wait: Duration) -> Result<SharedChunk, FeedError> {
        let chunk = if wait.is_zero() {
            self.reads.fresh(after, size).await?
        } else {
            self.reads.shared(after, size).await?
        };
        if let Some(hole) = chunk.read().hole {
            self.log.report_hole(hole);
        }
        Ok(chunk)
    }

    /// Where the request starts to read.
    async fn checkpoint(&self, after: After) -> Result<Checkpoint, FeedError> {
        if let After::Checkpoint(checkpoint) = after {
            return Ok(checkpoint);
        }
        let settled_below = self.low_water_mark.get();
        let log = self.histories().await?.log;
        match after {
            _ if !log.is_logged() => Err(FeedError::NotLogged),
            After::Now => Ok(log.now(settled_below)),
            _ => Ok(log.start()),
        }
    }

    /// Checks that the events of `chunk` are those that follow the checkpoint.
    async fn check(&self, checkpoint: Checkpoint, chunk: &Chunk) -> Result<(), FeedError> {
        let history = chunk.read().history;
        // A read after a position that was never allocated finds nothing, and proves nothing.
        let newest = chunk.read().events.last().map_or(0, |event| event.position);
        let known = self.see(history, newest);
        if checkpoint.history != history || checkpoint.position > known.up_to {
            match self.histories().await?.standing(checkpoint) {
                Standing::Valid => {}
                Standing::Foreign => return Err(FeedError::Foreign),
                Standing::BeyondFailover(last) => return Err(FeedError::BeyondFailover(last)),
            }
        }
        if chunk.read().has_lost(checkpoint.position) { Err(FeedError::Expired) } else { Ok(()) }
    }

    async fn histories(&self) -> Result<Histories, FeedError> {
        let histories = self.reads.histories().await?;
        self.see(histories.log.history, histories.log.allocated);
        Ok(histories)
    }

    /// Positions up to this one exist in this history. Returns what is known now.
    fn see(&self, history: i64, up_to: i64) -> Known {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.history == history {
            known.up_to = known.up_to.max(up_to);
        } else {
            *known = Known { history, up_to };
        }
        *known
    }

    /// A slot for a request that waits, until it is dropped.
    fn waiter(&self, held: Held) -> Result<Waiter<'_>, FeedError> {
        match self.waiters.try_acquire() {
            Ok(permit) => {
                self.waiting.increment(1);
                Ok(Waiter { feed: self, _held: held, _permit: permit })
            }
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => Err(FeedError::TooManyWait),
        }
    }

    /// Waits until the log may have more, or until the deadline.
    async fn until_more(&self, position: i64, is_at_hole: bool, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        if !is_at_hole && self.log.newest() <= position {
            self.log.until_newer_than(position, left).await;
        } else {
            tokio::time::sleep(HOLE_PAUSE.min(left)).await;
        }
    }
}

struct Waiter<'a> {
    feed: &'a Feed,
    _held: Held,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.feed.waiting.decrement(1);
    }
}
