//! One batch, in one transaction: claim, decode, apply, park.
//!
//! | File | Holds |
//! |---|---|
//! | `runner` | runs the batches of the claim |
//! | `source` | the trait of sources of events; `sources` has those of the claim |
//! | `applier` | applies the events of a source: repeats a batch that failed because of a lock or an event |
//! | `steps` | the steps of a batch and the transaction around them: start reading here |
//! | `decode` | decodes events, and checks what each projection refuses |
//! | `skip_locked` | leaves out events whose rows another session has locked |
//! | `apply` | applies events to every projection |
//! | `isolate` | finds poison events within the claim; `search` holds what is left to apply |
//! | `part_size` | how many events are applied at once while some are refused |
//! | `hints` | which event of several is probably refused |
//! | `savepoints` | savepoints around parts of a batch |
//! | `control` | proves that the events are at fault, not the database; `mask` hides their text |
//! | `deferred_constraints` | checks deferred constraints before the commit |
//! | `error_class` | event, lock or database: what an error is about |
//! | `traces` | the spans of a batch |
//! | `event_sizes` | how many bytes one batch claims |

mod applier;
mod apply;
mod control;
mod decode;
mod deferred_constraints;
mod error_class;
mod event_sizes;
mod hints;
mod isolate;
mod mask;
mod part_size;
mod runner;
mod savepoints;
mod search;
mod skip_locked;
mod source;
mod sources;
mod steps;
mod traces;

use std::time::Duration;

use diesel::result::Error as DieselError;
use service_kit::database::PoolError;

pub(crate) use self::applier::Applier;
pub(crate) use self::event_sizes::DEFAULT_BATCH_MAX_BYTES;
pub use self::runner::BatchRunner;
pub(crate) use self::source::{Batch, Claim, EventSource, Sizing};

/// Where a batch claims its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In the outbox.
    Outbox,
    /// Among the parked events that are due.
    Parked,
    /// Among the waiting events.
    Waiting,
}

/// What one batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchOutcome {
    /// Nothing was claimed: there are no events, or other sessions have locked them or, for waiting events, their
    /// rows.
    Empty,
    /// The batch was committed.
    Committed {
        /// Events applied to every projection.
        applied: usize,
        /// Events moved to `parked_events`: they cannot be decoded, or the read model refuses them.
        parked: usize,
        /// Events whose rows are locked. Those of the outbox were moved to `waiting_events`.
        waiting: usize,
    },
}

/// Why a batch was rolled back. Its events stay where they were.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// No connection.
    #[error("no connection to the database")]
    Connect(#[from] PoolError),
    /// The database failed.
    #[error("the batch was rolled back")]
    Database(#[from] DieselError),
    /// The database sent no result in time.
    #[error("no reply from the database in time; the batch was abandoned")]
    NoAnswer,
    /// A projection failed.
    #[error("projection {projection} failed, and the batch was rolled back")]
    Projection {
        /// The projection that failed.
        projection: &'static str,
        /// How long its statements took to fail.
        took: Duration,
        /// The database's error.
        #[source]
        source: DieselError,
    },
    /// A projection could not lock its rows, although it skips rows that others have locked.
    #[error("projection {projection} cannot lock its rows, and the batch was rolled back")]
    Lock {
        /// The projection that failed.
        projection: &'static str,
        /// The database's error.
        #[source]
        source: DieselError,
    },
    /// Isolating the refused events of this batch takes too many savepoints. The next batch is smaller.
    #[error("too many events were refused, and the batch was rolled back")]
    TooManySavepoints,
}
