//! Setting a checkpoint back, and leaving events out.

use std::str::FromStr;

use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::OperatorError;
use super::queries::{self, LogBounds, ParkSkipped, RemoveParkedAfter};
use crate::event_log::{self, LoggedEvent, ReadLimits, settled};

/// The checkpoint to move to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Events after this position follow.
    Position(i64),
    /// The oldest event that the log is sure to have follows.
    Start,
    /// Events that are logged from now on follow, and those behind a hole that may still be filled.
    Now,
}

/// Not a value of [`To`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position (a whole number from 0 on), start or now")]
pub struct InvalidTo;

impl FromStr for To {
    type Err = InvalidTo;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "start" => Ok(Self::Start),
            "now" => Ok(Self::Now),
            _ => text.parse().ok().filter(|position| *position >= 0).map(Self::Position).ok_or(InvalidTo),
        }
    }
}

/// How a checkpoint was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The checkpoint before.
    pub from: i64,
    /// The checkpoint now.
    pub to: i64,
    /// Parked events that were removed, because they are read again.
    pub parked_removed: usize,
}

/// What was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skipped {
    /// The subscription was lost. It goes on after the missing events.
    Missing(Moved),
    /// The next event is now parked, with this id, and left for an operator.
    Event {
        /// Its id among the parked events.
        id: i64,
        /// The event.
        event: LoggedEvent,
    },
}

/// Sets the checkpoint back. The events after it are handled again. Parked events among them are removed, because they
/// are handled again too.
///
/// # Errors
///
/// [`OperatorError`], for example if the log no longer has these events.
pub async fn rewind(connection: &mut AsyncPgConnection, name: &str, to: To) -> Result<Moved, OperatorError> {
    let locked = queries::lock(connection, name).await?;
    if locked.is_lost() {
        return Err(OperatorError::Lost(name.to_owned()));
    }
    let (from, bounds) = (locked.checkpoint(), queries::log_bounds(connection).await?);
    let to = within(connection, to, bounds).await?;
    if to > from {
        return Err(OperatorError::Ahead { to, checkpoint: from });
    }
    let parked_removed = RunQueryDsl::execute(RemoveParkedAfter { name, position: to }, connection).await?;
    queries::go_on_at(connection, &locked, to, bounds).await?;
    Ok(Moved { from, to, parked_removed })
}

/// Moves the checkpoint forward. The events between are never handled.
///
/// The checkpoint of a lost subscription that is beyond the log can also go back. Then parked events that are read
/// again are removed.
///
/// # Errors
///
/// [`OperatorError`]
pub async fn skip_to(connection: &mut AsyncPgConnection, name: &str, to: To) -> Result<Moved, OperatorError> {
    let locked = queries::lock(connection, name).await?;
    let (from, bounds) = (locked.checkpoint(), queries::log_bounds(connection).await?);
    let to = within(connection, to, bounds).await?;
    let mut parked_removed = 0;
    if to <= from {
        if !locked.is_from_elsewhere(bounds) {
            return Err(OperatorError::NotAhead { to, checkpoint: from });
        }
        parked_removed = RunQueryDsl::execute(RemoveParkedAfter { name, position: to }, connection).await?;
    }
    queries::go_on_at(connection, &locked, to, bounds).await?;
    Ok(Moved { from, to, parked_removed })
}

/// Skips what the subscription is stuck at: the next event, which is parked, or the events that are missing.
///
/// # Errors
///
/// [`OperatorError`]
pub async fn skip_next(connection: &mut AsyncPgConnection, name: &str) -> Result<Skipped, OperatorError> {
    let locked = queries::lock(connection, name).await?;
    let (from, bounds) = (locked.checkpoint(), queries::log_bounds(connection).await?);
    if locked.is_from_elsewhere(bounds) {
        return Err(OperatorError::NotOfThisDatabase { name: name.to_owned(), checkpoint: from });
    }
    if locked.is_lost() {
        let to = bounds.missing_up_to;
        queries::go_on_at(connection, &locked, to, bounds).await?;
        return Ok(Skipped::Missing(Moved { from, to, parked_removed: 0 }));
    }
    let read = event_log::read(connection, from, ReadLimits { events: 1, bytes: 1 }).await?;
    let Some(event) = read.events.into_iter().next() else { return Err(OperatorError::NothingToSkip(from)) };
    let park = ParkSkipped {
        name,
        position: event.position,
        kind: &event.kind,
        payload: &event.payload,
        recorded_at: event.recorded_at,
        traceparent: event.traceparent.as_deref(),
    };
    let id = RunQueryDsl::get_result(park, connection).await?;
    queries::go_on_at(connection, &locked, event.position, bounds).await?;
    Ok(Skipped::Event { id, event })
}

/// The checkpoint that is meant.
async fn within(connection: &mut AsyncPgConnection, to: To, bounds: LogBounds) -> Result<i64, OperatorError> {
    let LogBounds { missing_up_to, newest, .. } = bounds;
    match to {
        To::Start => Ok(missing_up_to),
        To::Now => Ok(settled::newest(connection).await?),
        To::Position(to) if to < missing_up_to => Err(OperatorError::BeforeTheLog { to, missing_up_to }),
        To::Position(to) if to > newest => Err(OperatorError::AfterTheLog { to, newest }),
        To::Position(to) => Ok(to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_a_position_or_one_of_two_words() {
        let parsed = ["0", "12", "start", "now"].map(str::parse);
        assert_eq!(parsed, [Ok(To::Position(0)), Ok(To::Position(12)), Ok(To::Start), Ok(To::Now)]);
        for text in ["", "-1", "1.5", "Start", "9223372036854775808", "0x1"] {
            assert_eq!(text.parse::<To>(), Err(InvalidTo), "{text}");
        }
    }
}
