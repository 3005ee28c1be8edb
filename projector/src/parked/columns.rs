//! Parked events as the columns of a statement.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::dead_letter::DeadLetter;
use crate::outbox::ClaimedEvent;

/// One array a column, so that the text of a statement is the same for any number of events and stays prepared.
#[derive(Default)]
pub(crate) struct Columns<'a> {
    pub(crate) id: Vec<i64>,
    pub(crate) kind: Vec<&'a str>,
    pub(crate) payload: Vec<&'a str>,
    pub(crate) created_at: Vec<DateTime<Utc>>,
    pub(crate) traceparent: Vec<Option<&'a str>>,
    pub(crate) attempts: Vec<i32>,
    pub(crate) error: Vec<&'a str>,
    pub(crate) retry_in_ms: Vec<Option<i64>>,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(letters: &'a [DeadLetter]) -> Self {
        let mut columns = Self::default();
        for letter in letters {
            columns.push(letter.event(), letter.attempts(), letter.reason(), letter.retry_in());
        }
        columns
    }

    pub(crate) fn push(
        &mut self,
        event: &'a ClaimedEvent,
        attempts: i32,
        error: &'a str,
        retry_in: Option<Duration>,
    ) {
        self.id.push(event.id);
        self.kind.push(&event.kind);
        self.payload.push(&event.payload);
        self.created_at.push(event.created_at);
        self.traceparent.push(event.traceparent.as_deref());
        self.attempts.push(attempts);
        self.error.push(error);
        self.retry_in_ms
            .push(retry_in.map(|retry_in| i64::try_from(retry_in.as_millis()).unwrap_or(i64::MAX)));
    }
}
