//! What a connection is doing, as far as its deadlines depend on it.

use std::cell::Cell;
use std::rc::Rc;

use tokio::time::Instant;

use super::limits::Limits;
use super::stats::{Cut, OpenConnection, Stats};

/// Shared by the stream and by the requests that come over it, all on one thread.
pub(super) struct Connection {
    phase: Cell<Phase>,
    body: Cell<Body>,
    limits: Limits,
    open: OpenConnection,
}

/// What happens on a connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has come yet.
    New { since: Instant },
    /// Nothing has come since the last response.
    Idle { since: Instant },
    /// Part of a request's head has come.
    Head { since: Instant },
    /// A whole head has come; the server has not decoded it yet.
    HeadRead { since: Instant },
    /// A request is being answered, or its response sent.
    Request,
    /// A response has been sent although its request's body had not been read to the end.
    Unread { since: Instant },
}

/// What is still to come of the current request's body, as the server frames it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    Length(u64),
    Chunked,
    /// Everything that follows.
    Endless,
}

impl Connection {
    pub(super) fn start(limits: Limits, stats: &Stats) -> Rc<Self> {
        let phase = Cell::new(Phase::New { since: Instant::now() });
        Rc::new(Self { phase, body: Cell::new(Body::None), limits, open: stats.open_connection() })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(super) fn set(&self, phase: Phase) {
        self.phase.set(phase);
    }

    pub(super) fn body(&self) -> Body {
        self.body.get()
    }

    pub(super) fn set_body(&self, body: Body) {
        self.body.set(body);
    }

    /// The server has decoded a request's head, and reads this body behind it.
    pub(super) fn begin_request(&self, body: Body) {
        self.set(Phase::Request);
        self.set_body(body);
    }

    /// The whole response has been handed to the server.
    pub(super) fn end_response(&self, is_body_unread: bool) {
        let since = Instant::now();
        let is_body_missing = self.body() != Body::None;
        self.set(if is_body_unread || is_body_missing {
            Phase::Unread { since }
        } else {
            Phase::Idle { since }
        });
    }

    /// Whether the server may have what comes next. Behind a request it may not, until the response has been sent.
    pub(super) fn expects_input(&self) -> bool {
        match self.phase() {
            Phase::New { .. } | Phase::Idle { .. } | Phase::Head { .. } => true,
            Phase::HeadRead { .. } => false,
            Phase::Request | Phase::Unread { .. } => self.body() != Body::None,
        }
    }

    /// The client takes what it is sent: a response that is on its way is no idleness.
    pub(super) fn progress(&self) {
        if matches!(self.phase(), Phase::Idle { .. }) {
            self.set(Phase::Idle { since: Instant::now() });
        }
    }

    /// When what is happening must have ended. A request has limits of its own.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let Limits { head, unread_body, keep_alive, .. } = self.limits;
        match self.phase() {
            Phase::New { since } | Phase::Head { since } | Phase::HeadRead { since } => Some(since + head),
            Phase::Idle { since } => Some(since + keep_alive),
            Phase::Unread { since } => Some(since + unread_body),
            Phase::Request => None,
        }
    }

    /// The deadline has passed. Whether the client is owed an answer: it has begun a request.
    pub(super) fn cut(&self) -> bool {
        let (reason, owed) = match self.phase() {
            Phase::Head { .. } | Phase::HeadRead { .. } => (Cut::SlowHead, true),
            Phase::Unread { .. } => (Cut::UnreadBody, false),
            Phase::New { .. } | Phase::Idle { .. } | Phase::Request => (Cut::Idle, false),
        };
        self.open.cut(reason);
        owed
    }
}
