//! Where batches get their events, and what becomes of those.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;

use super::BatchError;
use super::decode::DecodedEvent;
use super::event_sizes::EventSizes;
use super::part_size::PartSize;
use crate::outbox::{ClaimLimits, ClaimedEvent};
use crate::parked::DeadLetter;

/// A source of events. `claim` and `finish` run in the transaction of the batch.
pub(crate) trait EventSource: Send + Sync {
    /// The subscription that its events are for; none if they are for the read models of the claim.
    fn subscription(&self) -> Option<&str> {
        None
    }

    /// How large its batches are.
    fn sizing(&self) -> &Sizing;

    /// Whether a batch skips locked rows from the start, not only while some are known to be locked.
    fn always_skips_locked(&self) -> bool {
        true
    }

    /// Claims events, up to `limits`.
    fn claim<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> BoxFuture<'a, QueryResult<Claim>>;

    /// `events` were tried, of which `refused` were refused.
    fn tried(&self, _events: usize, _refused: usize) {}

    /// Records what happened to the events of `batch`.
    fn finish<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        batch: &'a Batch,
    ) -> BoxFuture<'a, QueryResult<()>>;

    /// `batch` was committed.
    fn committed<'a>(&'a self, database: &'a Database, batch: &'a Batch) -> BoxFuture<'a, ()>;

    /// A batch was rolled back.
    fn failed<'a>(&'a self, _database: &'a Database, _error: &'a BatchError) -> BoxFuture<'a, ()> {
        std::future::ready(()).boxed()
    }
}

/// Events that were claimed together.
#[derive(Default)]
pub(crate) struct Claim {
    pub(crate) events: Vec<ClaimedEvent>,
    /// Whether to apply them one by one.
    pub(crate) one_by_one: bool,
}

impl From<Vec<ClaimedEvent>> for Claim {
    fn from(events: Vec<ClaimedEvent>) -> Self {
        Self { events, one_by_one: false }
    }
}

/// What a transaction does with the events that it claimed.
pub(crate) struct Batch {
    pub(crate) claimed_at: Instant,
    /// When the claim began,
    pub(crate) began: SystemTime,
    /// and when it ended.
    pub(crate) claimed: SystemTime,
    /// Applied to every projection.
    pub(crate) applied: Vec<ClaimedEvent>,
    /// They cannot be decoded, or a projection refuses them.
    pub(crate) parked: Vec<DeadLetter>,
    /// Another session has locked their rows.
    pub(crate) locked: Vec<DecodedEvent>,
}

impl Batch {
    /// How many events were claimed.
    pub(crate) fn len(&self) -> usize {
        self.applied.len() + self.parked.len() + self.locked.len()
    }
}

/// How large the batches of a source are, and the parts in which they are applied.
pub(crate) struct Sizing {
    pub(super) events: EventSizes,
    pub(super) part: Arc<PartSize>,
}

impl Sizing {
    /// Batches of up to `batch_max_bytes`.
    pub(crate) fn new(batch_max_bytes: i64) -> Self {
        Self { events: EventSizes::new(batch_max_bytes), part: Arc::default() }
    }

    /// Batches of another source whose events are refused as often.
    pub(super) fn like(other: &Self) -> Self {
        Self { events: EventSizes::new(other.events.batch_max_bytes()), part: Arc::clone(&other.part) }
    }

    /// How many events the next batch claims at most, of up to `limit`: fewer while many are refused or large.
    pub(crate) fn batch_limit(&self, limit: i64) -> i64 {
        self.events.limit(self.part.batch_limit(limit))
    }

    /// `refused` of the `events` of a batch were refused.
    pub(crate) fn record(&self, events: usize, refused: usize) {
        self.part.record(events, refused);
    }
}
