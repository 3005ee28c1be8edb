//! How long a connection may be in one state.

use std::time::Duration;

/// The limits of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the first byte of a request's head to its last; also from the start of a connection to its first byte.
    pub(super) head: Duration,
    /// From a response to the end of its request's body, where the handler did not read all of that.
    pub(super) unread_body: Duration,
    /// From a response to the next request. Longer than the 60 s of common load balancers, which must close first.
    pub(super) keep_alive: Duration,
    /// How long a closing connection is still read from. A close while something is unread resets the connection, and then the
    /// client may lose the response that it was sent.
    pub(super) linger: Duration,
    /// How long a client may take nothing of what it is sent.
    pub(super) stall: Duration,
}

impl Limits {
    /// The limits of all three processes.
    pub(super) const fn with_stall(stall: Duration) -> Self {
        Self {
            head: Duration::from_secs(5),
            unread_body: Duration::from_secs(5),
            keep_alive: Duration::from_secs(75),
            linger: Duration::from_secs(1),
            stall,
        }
    }
}
