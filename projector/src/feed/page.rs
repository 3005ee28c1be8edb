//! One read of the log, and the responses that are made of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::web::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::checkpoint::Checkpoint;
use super::kinds::Kinds;
use crate::budget::{Budget, Reserved};
use crate::event_log::{LogRead, LoggedEvent};

/// What surrounds one event in a response has at most about so many bytes.
const ENVELOPE_BYTES: usize = 160;

/// A page of the feed.
#[derive(Serialize, ToSchema)]
pub(super) struct FeedPage<'a> {
    /// In the order of the log: each order's versions rise.
    #[schema(max_items = 1000)]
    events: Vec<FeedEvent<'a>>,
    /// `after` of your next request. It moves on even if no event matches.
    #[schema(example = "Af______7Sl5AAAAAAAAEmfD38gt")]
    checkpoint: String,
    /// Whether there are more events already.
    has_more: bool,
}

/// An event.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "position": 17, "kind": "order_paid", "recorded_at": "2026-11-26T11:24:00.575087Z",
    "data": {"event_id": "d29e8d2e-1dcb-5915-a97e-9b5e510572c2", "schema_version": 1}
}))]
struct FeedEvent<'a> {
    /// Rises from event to event, with gaps.
    #[schema(minimum = 1)]
    position: i64,
    /// What happened, such as `order_paid`. Ignore kinds that you do not know.
    kind: &'a str,
    /// When the event was logged. For information only: positions order events.
    recorded_at: DateTime<Utc>,
    /// The event as it was written: the change, and the order after it. `event_id` is the same in each copy of an
    /// event.
    #[schema(value_type = Object)]
    data: &'a RawValue,
}

/// The events of one read. All requests that stand at the same position share it.
pub(super) struct Chunk {
    read: LogRead,
    /// Where the read began.
    after: i64,
    bytes: usize,
    /// Requests with the same filter and limit share the body.
    pages: Mutex<HashMap<(Kinds, usize), Page>>,
    _reserved: Reserved,
}

/// A response to send.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) checkpoint: Checkpoint,
    pub(super) has_more: bool,
    pub(super) events: usize,
    pub(super) body: Bytes,
}

/// Why there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PageError {
    /// The memory for responses is in use.
    #[error("the memory for responses is in use")]
    NoMemory,
    /// PostgreSQL stores only valid JSON, so this is a bug.
    #[error("the event at position {0} is not JSON")]
    NotJson(i64),
}

impl Chunk {
    pub(super) fn new(after: i64, read: LogRead, mut reserved: Reserved) -> Self {
        let bytes = bytes(&read);
        reserved.shrink_to(bytes);
        Self { read, after, bytes, pages: Mutex::default(), _reserved: reserved }
    }

    pub(super) fn read(&self) -> &LogRead {
        &self.read
    }

    /// About how much memory its events take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its events of these kinds, up to `limit`.
    pub(super) fn page(&self, kinds: &Kinds, limit: usize, budget: &Budget) -> Result<Page, PageError> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = pages.get(&(kinds.clone(), limit)) {
            return Ok(page.clone());
        }
        let page = self.render(kinds, limit, budget)?;
        // Other pages hold memory for as long as this chunk exists, which is not counted against their clients.
        pages.insert((kinds.clone(), limit), page.clone());
        Ok(page)
    }

    fn render(&self, kinds: &Kinds, limit: usize, budget: &Budget) -> Result<Page, PageError> {
        let (events, up_to, is_cut) = self.select(kinds, limit);
        let checkpoint = Checkpoint { history: self.read.history, position: up_to };
        let has_more = is_cut || self.read.is_more;
        let bytes = 128 + events.iter().map(|event| ENVELOPE_BYTES + event.payload.len()).sum::<usize>();
        let reserved = budget.reserve(bytes).ok_or(PageError::NoMemory)?;
        let count = events.len();
        let events = events.into_iter().map(FeedEvent::new).collect::<Result<_, _>>()?;
        let page = FeedPage { events, checkpoint: checkpoint.to_string(), has_more };
        let mut body = Vec::with_capacity(bytes);
        // Cannot fail: a page consists of numbers, text and JSON.
        serde_json::to_writer(&mut body, &page).map_err(|_| PageError::NotJson(up_to))?;
        Ok(Page { checkpoint, has_more, events: count, body: reserved.hold(body) })
    }

    /// The events, how far the page goes, and whether events that match are left.
    fn select(&self, kinds: &Kinds, limit: usize) -> (Vec<&LoggedEvent>, i64, bool) {
        let (mut events, mut up_to) = (Vec::with_capacity(limit.min(self.read.events.len())), self.after);
        for event in &self.read.events {
            if kinds.contains(&event.kind) {
                if events.len() == limit {
                    return (events, up_to, true);
                }
                events.push(event);
            }
            up_to = event.position;
        }
        (events, up_to, false)
    }
}

impl<'a> FeedEvent<'a> {
    fn new(event: &'a LoggedEvent) -> Result<Self, PageError> {
        let data = serde_json::from_str(&event.payload).map_err(|_| PageError::NotJson(event.position))?;
        Ok(Self { position: event.position, kind: &event.kind, recorded_at: event.recorded_at, data })
    }
}

fn bytes(read: &LogRead) -> usize {
    read.events.iter().map(|event| size_of::<LoggedEvent>() + event.kind.len() + event.payload.len()).sum()
}

/// Shared by the requests at one position.
pub(super) type SharedChunk = Arc<Chunk>;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn chunk(kinds: &[&str], is_more: bool) -> Chunk {
        let event = |(position, kind): (i64, &&str)| LoggedEvent {
            position,
            kind: (*kind).to_owned(),
            payload: format!("{{\"n\" :  {position}}}"),
            ..LoggedEvent::default()
        };
        let events = (11..).zip(kinds).map(event).collect();
        let read = LogRead { events, hole: None, is_more, missing_up_to: 0, history: 7 };
        Chunk::new(10, read, Budget::new(MIB).reserve(1_000).unwrap())
    }

    fn page(chunk: &Chunk, limit: usize) -> (Vec<i64>, i64, bool) {
        let page = chunk.page(&Kinds::default(), limit, &Budget::new(MIB)).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
        assert_eq!(body["checkpoint"], page.checkpoint.to_string());
        assert_eq!(body["has_more"], page.has_more);
        let events = body["events"].as_array().unwrap();
        assert_eq!(events.len(), page.events);
        (
            events.iter().map(|e| e["position"].as_i64().unwrap()).collect(),
            page.checkpoint.position,
            page.has_more,
        )
    }

    #[test]
    fn the_checkpoint_moves_past_events_that_are_left_out() {
        let republished = "order_republished";
        assert_eq!(page(&chunk(&[], false), 5), (vec![], 10, false));
        assert_eq!(page(&chunk(&[republished; 2], true), 5), (vec![], 12, true));
        let mixed = chunk(&["order_paid", republished, "order_paid", republished], false);
        assert_eq!(page(&mixed, 5), (vec![11, 13], 14, false));
        assert_eq!(page(&mixed, 2), (vec![11, 13], 14, false));
        assert_eq!(page(&mixed, 1), (vec![11], 12, true));
    }

    #[test]
    fn requests_with_the_same_filter_and_limit_share_the_bytes_and_data_is_as_it_was_written() {
        let (chunk, budget) = (chunk(&["order_paid"], false), Budget::new(MIB));
        let body = |limit| chunk.page(&Kinds::default(), limit, &budget).unwrap().body;
        assert_eq!(body(5).as_ptr(), body(5).as_ptr());
        assert_ne!(body(5).as_ptr(), body(6).as_ptr());
        let text = String::from_utf8(body(5).to_vec()).unwrap();
        assert!(text.contains(r#""data":{"n" :  11}"#), "{text}");
    }

    #[test]
    fn a_page_for_which_there_is_no_memory_is_refused() {
        let (chunk, budget) = (chunk(&["order_paid"], false), Budget::new(2_048));
        let sent = chunk.page(&Kinds::default(), 5, &budget).unwrap();
        let _all = budget.reserve(1_024).unwrap();
        assert_eq!(chunk.page(&Kinds::default(), 6, &budget).err(), Some(PageError::NoMemory));
        assert!(chunk.page(&Kinds::default(), 5, &budget).is_ok(), "shared with {} bytes", sent.body.len());
    }
}
