//! The phase of a connection, on which its deadline depends.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;

use super::connection_metrics::{ConnectionMetrics, Cut, OpenConnection};
use super::in_flight::Permit;
use super::limits::Limits;
use super::request_metrics::PathPattern;
use crate::traces::TraceIds;

/// Shared by the stream and its requests, all on one thread.
pub(super) struct Connection {
    phase: Cell<Phase>,
    body: Cell<Body>,
    /// The current request counts as in flight.
    permit: Cell<Option<Permit>>,
    /// The resource of the current request.
    route: Cell<Option<Rc<PathPattern>>>,
    /// The caller of the current request.
    subject: Cell<Option<Arc<str>>>,
    /// The trace and the span of its request, if they are recorded.
    trace: Cell<Option<TraceIds>>,
    limits: Limits,
    open: OpenConnection,
}

/// The current phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No byte has arrived yet.
    New { since: Instant },
    /// No byte has arrived since the last response.
    Idle { since: Instant },
    /// Part of a request's head has arrived.
    Head { since: Instant },
    /// A whole head has arrived; the server has not decoded it yet.
    HeadRead { since: Instant },
    /// A request is processed, or its response sent.
    Request,
    /// A response was sent before its request's body was read to the end.
    Unread { since: Instant },
}

/// The outstanding part of the current request's body, as the server frames it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    Length(u64),
    Chunked,
    /// Everything up to the end of the connection.
    Endless,
}

impl Connection {
    pub(super) fn start(limits: Limits, metrics: &ConnectionMetrics) -> Rc<Self> {
        let phase = Cell::new(Phase::New { since: Instant::now() });
        Rc::new(Self {
            phase,
            body: Cell::new(Body::None),
            permit: Cell::default(),
            route: Cell::default(),
            subject: Cell::default(),
            trace: Cell::default(),
            limits,
            open: metrics.open_connection(),
        })
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

    /// The server has decoded a head, and reads this body next.
    pub(super) fn begin_request(&self, body: Body) {
        self.set(Phase::Request);
        self.set_body(body);
    }

    /// The current request counts as in flight until its work ends, or the connection.
    pub(super) fn begin_work(&self, permit: Permit) {
        self.permit.set(Some(permit));
    }

    /// The current request no longer counts as in flight.
    pub(super) fn end_work(&self) {
        self.permit.take();
    }

    /// The current request belongs to this resource.
    pub(super) fn set_route(&self, route: Rc<PathPattern>) {
        self.route.set(Some(route));
    }

    /// The resource of the current request, which has a response now.
    pub(super) fn take_route(&self) -> Option<Rc<PathPattern>> {
        self.route.take()
    }

    /// The current request is from this caller.
    pub(super) fn set_trace(&self, trace: TraceIds) {
        self.trace.set(Some(trace));
    }

    /// The ids of the request, if it is traced.
    pub(super) fn take_trace(&self) -> Option<TraceIds> {
        self.trace.take()
    }

    pub(super) fn set_subject(&self, subject: Arc<str>) {
        self.subject.set(Some(subject));
    }

    /// The caller of the current request, which has a response now. `None` without a valid token.
    pub(super) fn take_subject(&self) -> Option<Arc<str>> {
        self.subject.take()
    }

    /// The server has the whole response.
    pub(super) fn end_response(&self, is_body_unread: bool) {
        let since = Instant::now();
        let is_body_missing = self.body() != Body::None;
        self.set(if is_body_unread || is_body_missing {
            Phase::Unread { since }
        } else {
            Phase::Idle { since }
        });
    }

    /// Whether the server may read on. After a request it may not, until the response is sent.
    pub(super) fn expects_input(&self) -> bool {
        match self.phase() {
            Phase::New { .. } | Phase::Idle { .. } | Phase::Head { .. } => true,
            Phase::HeadRead { .. } => false,
            Phase::Request | Phase::Unread { .. } => self.body() != Body::None,
        }
    }

    /// The client receives bytes of a response, so the connection is not idle.
    pub(super) fn progress(&self) {
        if matches!(self.phase(), Phase::Idle { .. }) {
            self.set(Phase::Idle { since: Instant::now() });
        }
    }

    /// When the phase must end. Requests have their own limits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let Limits { head, unread_body, keep_alive, .. } = self.limits;
        match self.phase() {
            Phase::New { since } | Phase::Head { since } | Phase::HeadRead { since } => Some(since + head),
            Phase::Idle { since } => Some(since + keep_alive),
            Phase::Unread { since } => Some(since + unread_body),
            Phase::Request => None,
        }
    }

    /// Counts a connection that the server ends.
    pub(super) fn count_cut(&self, reason: Cut) {
        self.open.cut(reason);
    }

    /// Ends the connection after its deadline. Returns whether the client has begun a request, and so needs a response.
    pub(super) fn cut(&self) -> bool {
        let (reason, needs_response) = match self.phase() {
            Phase::Head { .. } | Phase::HeadRead { .. } => (Cut::SlowHead, true),
            Phase::Unread { .. } => (Cut::UnreadBody, false),
            Phase::New { .. } | Phase::Idle { .. } | Phase::Request => (Cut::Idle, false),
        };
        self.open.cut(reason);
        needs_response
    }
}
