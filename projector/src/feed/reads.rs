//! Reading the log for clients: by few connections, and once for all that wait at the same position.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use metrics::Counter;
use service_kit::database::{Database, DatabaseError};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::histories::Histories;
use super::page::{Chunk, SharedChunk};
use crate::budget::Budget;
use crate::event_log::{self, EventLog, ReadLimits};

/// Most payload bytes of one read, and so about of one response. A larger event is read alone.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// How long a request waits for its turn to read.
const LONGEST_TURN: Duration = Duration::from_secs(1);
/// How long a read that found events is kept for requests that come to its position later: all that waited for the
/// same event come within milliseconds.
const KEEP_EVENTS: Duration = Duration::from_millis(500);
/// Reads with more events are not kept: those who read them are far behind, and each at a position of its own.
const KEEP_BYTES: usize = 64 << 10;
/// How long those who wait in front of a hole share a read that found nothing.
pub(super) const HOLE_PAUSE: Duration = Duration::from_millis(10);

/// How many events one read may have: few different sizes, so that requests with different limits share reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Size {
    Small,
    Large,
}

impl Size {
    pub(super) fn for_limit(limit: usize) -> Self {
        if limit <= 100 { Self::Small } else { Self::Large }
    }

    fn events(self) -> i64 {
        match self {
            Self::Small => 100,
            Self::Large => 1_000,
        }
    }
}

/// Why the log was not read.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum ReadError {
    /// Too many requests read at once, or the memory for events is in use.
    #[error("too many clients read at once")]
    Busy,
    /// The database's. Requests that shared a read share the cause.
    #[error("the event log cannot be read")]
    Database(#[source] Arc<DatabaseError>),
    /// The task that read has panicked.
    #[error("a read has died")]
    Died,
}

type Outcome = Result<SharedChunk, ReadError>;

/// All reads of one process.
pub(super) struct Reads {
    reader: Reader,
    log: EventLog,
    /// A connection belongs to the runtime that opened it, and those of the HTTP threads end before this one.
    runtime: Handle,
    shared: Mutex<HashMap<(i64, Size), SharedRead>>,
}

#[derive(Clone)]
struct Reader {
    database: Database,
    turns: Arc<Semaphore>,
    budget: Arc<Budget>,
    count: Counter,
}

/// A read that others may join.
struct SharedRead {
    /// The newest known position when it began.
    newest: i64,
    began: Instant,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Reads {
    /// `database` has `connections` connections.
    pub(super) fn new(
        (database, connections): (Database, usize),
        log: EventLog,
        budget: Arc<Budget>,
        count: Counter,
    ) -> Self {
        let turns = Arc::new(Semaphore::new(connections));
        let reader = Reader { database, turns, budget, count };
        Self { reader, log, runtime: Handle::current(), shared: Mutex::default() }
    }

    /// What the log has after a position, as of now.
    pub(super) async fn fresh(&self, after: i64, size: Size) -> Outcome {
        joined(self.start(after, size)).await
    }

    /// What the log has after a position. All that ask at about the same time share one read.
    pub(super) async fn shared(&self, after: i64, size: Size) -> Outcome {
        joined(self.join_or_start(after, size)).await
    }

    /// The histories of the log.
    pub(super) async fn histories(&self) -> Result<Histories, ReadError> {
        let reader = self.reader.clone();
        self.runtime.spawn(async move { reader.histories().await }).await.map_err(|_| ReadError::Died)?
    }

    fn join_or_start(&self, after: i64, size: Size) -> watch::Receiver<Option<Outcome>> {
        // Before the read begins: it then sees at least this position.
        let newest = self.log.newest();
        // No panic can leave the map half changed.
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|_, read| read.can_be_joined());
        if let Some(read) = shared.get(&(after, size)).filter(|read| read.is_as_new_as(newest)) {
            return read.outcome.clone();
        }
        let outcome = self.start(after, size);
        shared.insert((after, size), SharedRead { newest, began: Instant::now(), outcome: outcome.clone() });
        outcome
    }

    fn start(&self, after: i64, size: Size) -> watch::Receiver<Option<Outcome>> {
        let (sender, receiver) = watch::channel(None);
        let reader = self.reader.clone();
        self.runtime.spawn(async move { sender.send_replace(Some(reader.read(after, size).await)) });
        receiver
    }
}

async fn joined(mut outcome: watch::Receiver<Option<Outcome>>) -> Outcome {
    let outcome = outcome.wait_for(Option::is_some).await.map_err(|_| ReadError::Died)?;
    outcome.clone().unwrap_or(Err(ReadError::Died))
}

impl Reader {
    async fn read(self, after: i64, size: Size) -> Outcome {
        let turn = timeout(LONGEST_TURN, self.turns.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(ReadError::Busy)?;
        let reserved = self.budget.reserve(MAX_BYTES).ok_or(ReadError::Busy)?;
        self.count.increment(1);
        let limits =
            ReadLimits { events: size.events(), bytes: i64::try_from(MAX_BYTES).unwrap_or(i64::MAX) };
        let read = self.database.read(move |connection| event_log::read(connection, after, limits).boxed());
        let read = read.await.map_err(|error| ReadError::Database(Arc::new(error)))?;
        Ok(Arc::new(Chunk::new(after, read, reserved)))
    }

    async fn histories(self) -> Result<Histories, ReadError> {
        let turn = timeout(LONGEST_TURN, self.turns.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(ReadError::Busy)?;
        let histories = self.database.read(|connection| Histories::load(connection).boxed());
        histories.await.map_err(|error| ReadError::Database(Arc::new(error)))
    }
}

impl SharedRead {
    /// Whether it may serve further requests at all.
    fn can_be_joined(&self) -> bool {
        match &*self.outcome.borrow() {
            None => self.outcome.has_changed().is_ok(),
            Some(Err(_)) => false,
            Some(Ok(chunk)) if chunk.read().events.is_empty() => self.began.elapsed() < HOLE_PAUSE,
            Some(Ok(chunk)) => self.began.elapsed() < KEEP_EVENTS && chunk.bytes() <= KEEP_BYTES,
        }
    }

    /// Whether it serves a request that knows of events up to `newest`.
    fn is_as_new_as(&self, newest: i64) -> bool {
        let has_events =
            matches!(&*self.outcome.borrow(), Some(Ok(chunk)) if !chunk.read().events.is_empty());
        has_events || self.newest == newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_log::{LogRead, LoggedEvent};

    /// A read that began when the newest known position was 7.
    fn begun() -> (watch::Sender<Option<Outcome>>, SharedRead) {
        let (sender, outcome) = watch::channel(None);
        (sender, SharedRead { newest: 7, began: Instant::now(), outcome })
    }

    fn found(positions: &[i64]) -> Arc<Chunk> {
        let event = |position: &i64| LoggedEvent { position: *position, ..LoggedEvent::default() };
        let events = positions.iter().map(event).collect();
        let read = LogRead { events, hole: None, is_more: false, missing_up_to: 0, history: 1 };
        Arc::new(Chunk::new(6, read, Budget::new(1_000).reserve(1_000).unwrap()))
    }

    /// Else a request that was woken by an event would join a read that began before it, and find nothing.
    #[test]
    fn a_read_serves_those_who_know_of_newer_events_only_if_it_found_some() {
        let (sender, read) = begun();
        let serves = |read: &SharedRead| (read.is_as_new_as(7), read.is_as_new_as(8));
        assert_eq!(serves(&read), (true, false), "in progress");
        sender.send_replace(Some(Ok(found(&[]))));
        assert_eq!(serves(&read), (true, false), "nothing found");
        sender.send_replace(Some(Ok(found(&[7]))));
        assert_eq!(serves(&read), (true, true), "they begin with these events in any case");
    }

    #[test]
    fn nobody_joins_a_read_that_failed_or_died() {
        let (sender, read) = begun();
        assert!(read.can_be_joined());
        sender.send_replace(Some(Err(ReadError::Busy)));
        assert!(!read.can_be_joined(), "failed");
        let (sender, read) = begun();
        drop(sender);
        assert!(!read.can_be_joined(), "died");
    }
}
