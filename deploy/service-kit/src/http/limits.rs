//! How long a connection may stay in one phase.

use std::time::Duration;

/// The limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the first to the last byte of a request's head; also from the start of a connection to its first byte.
    pub(super) head: Duration,
    /// From a response to the end of its request's body, if the handler did not read all of it.
    pub(super) unread_body: Duration,
    /// From a response to the next request. Longer than the 60 s of common load balancers, which must close first.
    pub(super) keep_alive: Duration,
    /// How long the server still reads from a closing connection. To close with unread bytes would reset the
    /// connection, and the client could lose the response.
    pub(super) linger: Duration,
    /// How long a client may receive no byte of a response.
    pub(super) stall_limit: Duration,
}

impl Limits {
    /// The limits of all processes; only the stall limit differs.
    pub(super) const fn with_stall_limit(stall_limit: Duration) -> Self {
        Self {
            head: Duration::from_secs(5),
            unread_body: Duration::from_secs(5),
            keep_alive: Duration::from_secs(75),
            linger: Duration::from_secs(1),
            stall_limit,
        }
    }
}
