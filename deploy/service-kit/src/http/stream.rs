//! A stream with deadlines under the HTTP server, which has none for the head of a second request and for a body that nobody
//! reads. It also hands requests over one by one: the server decodes ahead, and then frames a response as that to the request
//! behind it, which differ for HEAD and for other versions.

use std::io;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::chunks_end::ChunksEnd;
use super::connection::{Body, Connection, Phase};
use super::head_end::HeadEnd;
use super::refusal::{TOO_LARGE, TOO_SLOW};
use super::timer::Timer;
use super::turn::Turn;

/// How much is read of what a client sends ahead of the response that it waits for. The end of a client that has sent more is seen
/// only when the response is written: it is behind what has not been read.
const MAX_HELD: usize = 4_096;

/// After a standstill of the process its timers go off before the runtime has asked the kernel what has come meanwhile. So a
/// connection whose deadline has passed has this much longer: by then the runtime has asked.
const SECOND_LOOK: Duration = Duration::from_millis(50);

/// A stream whose reads end when the deadline of its connection has passed.
pub(super) struct TimedStream<S> {
    stream: S,
    connection: Rc<Connection>,
    timer: Timer,
    head: HeadEnd,
    chunks: ChunksEnd,
    turn: Turn,
    /// A deadline that has passed, and when the connection is cut for it.
    passed: Option<(Instant, Instant)>,
    /// What came behind a request that has not been answered yet.
    held: Vec<u8>,
    /// The client sends no more, or nothing more is taken from it.
    has_ended: bool,
    /// Part of a response waits to be written.
    is_writing: bool,
    is_closing: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TimedStream<S> {
    pub(super) fn new(stream: S, connection: Rc<Connection>) -> Self {
        let deadline = connection.deadline().unwrap_or_else(Instant::now);
        Self {
            stream,
            connection,
            timer: Timer::new(deadline),
            head: HeadEnd::default(),
            chunks: ChunksEnd::default(),
            turn: Turn::default(),
            passed: None,
            held: Vec::new(),
            has_ended: false,
            is_writing: false,
            is_closing: false,
        }
    }

    pub(super) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// When the connection is cut for what is happening now.
    fn cut_at(&self) -> Option<Instant> {
        let deadline = self.connection.deadline()?;
        let extended = self.passed.filter(|(passed, _)| *passed == deadline);
        Some(extended.map_or(deadline, |(_, cut_at)| cut_at))
    }

    /// The timer may have been set for something that is over.
    fn is_overdue(&self) -> bool {
        self.timer.has_gone_off() && self.cut_at().is_some_and(|cut_at| cut_at <= Instant::now())
    }

    /// Once for each deadline: whether the connection goes on for a moment, so that what has come in time is found.
    fn is_looked_at_again(&mut self) -> bool {
        let Some(deadline) = self.connection.deadline() else { return false };
        if self.passed.is_some_and(|(passed, _)| passed == deadline) {
            return false;
        }
        self.passed = Some((deadline, Instant::now() + SECOND_LOOK));
        true
    }

    /// Whether what was waited for has come in time after all. A process that stood still finds it only now, in the kernel.
    fn has_come_in_time(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        let awaits_head =
            matches!(self.connection.phase(), Phase::New { .. } | Phase::Idle { .. } | Phase::Head { .. });
        if !awaits_head || self.has_ended {
            return Ok(false);
        }
        let start = buffer.filled().len();
        if let Poll::Ready(Err(error)) = self.read(cx, buffer) {
            return Err(error);
        }
        // The server reads on at once. There may be more of the head than it has space for, but not more than the largest one: what
        // still comes does not keep it going.
        Ok(buffer.filled().len() > start || !self.is_overdue())
    }

    fn end(&mut self, cx: &mut Context<'_>) {
        if self.has_ended {
            return;
        }
        let answer = if self.connection.cut() { TOO_SLOW.as_slice() } else { &[] };
        self.refuse(cx, answer);
    }

    /// Nothing more is taken from the client. The server has not seen a request that it could answer.
    fn refuse(&mut self, cx: &mut Context<'_>, answer: &[u8]) {
        self.has_ended = true;
        self.held.clear();
        if !self.is_writing && !answer.is_empty() {
            // It fits into the socket's empty buffer, or it is lost.
            let _written = Pin::new(&mut self.stream).poll_write(cx, answer);
        }
    }

    /// Reads what the server should see in this turn.
    fn read_in_turn(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.turn.ends(cx) {
            return Poll::Pending;
        }
        let start = buffer.filled().len();
        let result = self.read(cx, buffer);
        if result.is_pending() {
            self.turn.found_nothing();
        } else {
            self.turn.has_read(buffer.filled().len() - start);
        }
        result
    }

    /// Reads what the server should see now.
    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buffer.filled().len();
        if self.held.is_empty() {
            if self.has_ended {
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
            if buffer.filled().len() == start {
                self.has_ended = true;
                return Poll::Ready(Ok(()));
            }
        } else {
            let mut held = mem::take(&mut self.held);
            let rest = held.split_off(held.len().min(buffer.remaining()));
            buffer.put_slice(&held);
            self.held = rest;
        }
        self.follow(buffer, start);
        if self.head.is_too_large() {
            buffer.set_filled(start);
            self.refuse(cx, TOO_LARGE);
        }
        Poll::Ready(Ok(()))
    }

    /// Keeps up with what was read into `buffer` from `start` on, and holds back what comes behind a head or a body: the server
    /// must not decode the next head before it has sent the response, nor a body before this has the length from the server.
    fn follow(&mut self, buffer: &mut ReadBuf<'_>, start: usize) {
        let (_, new) = buffer.filled().split_at(start);
        let end = match self.connection.phase() {
            Phase::New { .. } | Phase::Idle { .. } => {
                self.head = HeadEnd::default();
                self.follow_head(new, Instant::now())
            }
            Phase::Head { since } => self.follow_head(new, since),
            Phase::HeadRead { .. } | Phase::Request | Phase::Unread { .. } => self.follow_body(new),
        };
        let Some(length) = end else { return };
        let (_, behind) = new.split_at(length);
        // It goes before what is held already.
        self.held.splice(..0, behind.iter().copied());
        buffer.set_filled(start + length);
    }

    fn follow_head(&mut self, new: &[u8], since: Instant) -> Option<usize> {
        let end = self.head.find(new);
        self.connection.set(match end {
            // Its time begins anew: what has come whole is not cut, however late it was read.
            Some(_) => Phase::HeadRead { since: Instant::now() },
            None => Phase::Head { since },
        });
        self.chunks = ChunksEnd::default();
        end
    }

    fn follow_body(&mut self, new: &[u8]) -> Option<usize> {
        let end = match self.connection.body() {
            Body::None => Some(0),
            Body::Length(left) => match usize::try_from(left) {
                Ok(left) if left <= new.len() => Some(left),
                _ => {
                    let read = u64::try_from(new.len()).unwrap_or(u64::MAX);
                    self.connection.set_body(Body::Length(left.saturating_sub(read)));
                    None
                }
            },
            Body::Chunked => self.chunks.find(new),
            Body::Endless => None,
        };
        if end.is_some() {
            self.connection.set_body(Body::None);
        }
        end
    }

    /// Nothing is handed over while a request is answered whose body has come; but what comes is taken in, so that the end of
    /// the connection is seen.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 1_024];
        while !self.has_ended && self.held.len() < MAX_HELD {
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            self.has_ended = buffer.filled().is_empty();
            self.held.extend_from_slice(buffer.filled());
        }
        // The server sees the end only after everything before it.
        if self.has_ended && self.held.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Called at the end of each turn of the server: has it come back in time, for a deadline or for what is held.
    fn plan_next_turn(&mut self, cx: &mut Context<'_>) {
        if self.is_closing {
            return; // The timer belongs to the close.
        }
        if !self.held.is_empty() && self.connection.expects_input() {
            cx.waker().wake_by_ref();
        }
        let Some(cut_at) = self.cut_at() else { return };
        self.timer.wake_by(cut_at, cx);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_overdue() && !this.is_looked_at_again() {
            if !this.has_come_in_time(cx, buffer)? {
                this.end(cx);
            }
            return Poll::Ready(Ok(()));
        }
        if this.connection.expects_input() { this.read_in_turn(cx, buffer) } else { this.read_ahead(cx) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.is_writing = true;
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.connection.progress();
        Poll::Ready(Ok(written))
    }

    /// The server gets here at the end of a turn in which it had nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.is_writing = false;
        this.plan_next_turn(cx);
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    /// Closes in two steps: first the output, then everything, when the client has closed or its time is up.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_closing {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.is_closing = true;
            this.timer.set(Instant::now() + this.connection.limits().linger);
        }
        let mut space = [0; 4_096];
        loop {
            if this.timer.poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ended => return Poll::Ready(Ok(())),
            }
        }
    }
}
