//! Why a subscription was not changed.

use diesel::result::Error as DieselError;

/// Why a subscription was not changed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is none with this name.
    #[error("there is no subscription named {0:?}: `projector subscriptions list` shows all")]
    Unknown(String),
    /// A lost subscription cannot be paused, resumed or set back.
    #[error(
        "{0:?} is lost: `projector subscriptions show` says why. `projector subscriptions skip` lets it go on, and a \
         read model may have to be filled again"
    )]
    Lost(String),
    /// A lost subscription whose checkpoint says nothing about the events of this database.
    #[error(
        "{name:?} is lost: its checkpoint {checkpoint} is not of this database, so nobody knows which events it has \
         handled. Say where it goes on: --to now leaves out all events that the log has, --to start handles them all, \
         --to POSITION those after it"
    )]
    NotOfThisDatabase {
        /// The subscription.
        name: String,
        /// Where it was.
        checkpoint: i64,
    },
    /// No position is safe.
    #[error("events are not logged: `projector log retention` switches the log on")]
    LogIsOff,
    /// The log no longer has these events.
    #[error("--to {to}: events up to position {missing_up_to} are no longer in the log")]
    BeforeTheLog {
        /// What was requested.
        to: i64,
        /// The oldest position that is possible.
        missing_up_to: i64,
    },
    /// The log does not have these events yet.
    #[error("--to {to}: the log ends at position {newest}")]
    AfterTheLog {
        /// What was requested.
        to: i64,
        /// The newest position that is possible.
        newest: i64,
    },
    /// A rewind would leave out events.
    #[error("--to {to} is ahead of the checkpoint, which is {checkpoint}: to leave events out, use skip")]
    Ahead {
        /// What was requested.
        to: i64,
        /// Where the subscription is.
        checkpoint: i64,
    },
    /// A skip would repeat events.
    #[error(
        "--to {to} is not ahead of the checkpoint, which is {checkpoint}: to read events again, use rewind"
    )]
    NotAhead {
        /// What was requested.
        to: i64,
        /// Where the subscription is.
        checkpoint: i64,
    },
    /// There is nothing to skip.
    #[error("the log has no event to skip after the checkpoint, which is {0}")]
    NothingToSkip(i64),
    /// A worker would go on.
    #[error("{0:?} is running: pause it first")]
    Running(String),
    /// It belongs to a webhook endpoint.
    #[error("{name:?} feeds webhook endpoint {endpoint}: use `projector webhooks {command} {endpoint}`")]
    FeedsEndpoint {
        /// The subscription.
        name: String,
        /// The endpoint.
        endpoint: i64,
        /// What to do with the endpoint instead.
        command: &'static str,
    },
    /// Parked events would be lost.
    #[error("{name:?} has parked events ({events}): retry or discard them first")]
    HasParked {
        /// The subscription.
        name: String,
        /// How many.
        events: i64,
    },
    /// The database failed, or a worker did not release the subscription in time. Nothing was changed.
    #[error(transparent)]
    Database(#[from] DieselError),
}
