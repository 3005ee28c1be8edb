//! Wraps the socket of a connection:
//!
//! 1. It adds the deadlines that actix-http lacks: for the head of a second request, and for an unread body.
//! 2. It gives actix-http one request at a time. With pipelined requests, actix-http would decode the next head before
//!    it responds, and frame the response by that head. That is wrong if one is a HEAD or has another HTTP version.

mod input;

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::chunks_end::ChunksEnd;
use super::connection::{Connection, Phase};
use super::head_end::HeadEnd;
use super::read_quota::ReadQuota;
use super::refusal::TOO_SLOW;
use super::timer::Timer;

/// Bytes that are read ahead while a response is pending. If a client sends more and then closes, the close is only
/// detected when the response is written, because it follows the unread bytes.
const MAX_HELD: usize = 4_096;

/// Extra time after a deadline. When the process was suspended, its timers fire before the runtime polls the kernel for
/// bytes that arrived in time.
const DEADLINE_GRACE: Duration = Duration::from_millis(50);

/// A stream whose reads end at the deadline of its connection.
pub(super) struct TimedStream<S> {
    stream: S,
    connection: Rc<Connection>,
    timer: Timer,
    head: HeadEnd,
    chunks: ChunksEnd,
    read_quota: ReadQuota,
    /// A deadline that has passed, and the extended one.
    extended: Option<(Instant, Instant)>,
    /// Bytes received after the current request.
    held: Vec<u8>,
    /// The client sends no more, or nothing more is read.
    has_ended: bool,
    /// Part of a response is not written yet.
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
            read_quota: ReadQuota::default(),
            extended: None,
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

    /// When the connection is cut, if nothing happens before.
    fn cut_at(&self) -> Option<Instant> {
        let deadline = self.connection.deadline()?;
        let extended = self.extended.filter(|(passed, _)| *passed == deadline);
        Some(extended.map_or(deadline, |(_, cut_at)| cut_at))
    }

    /// The timer alone is no proof: it may be set for an earlier phase.
    fn is_overdue(&self) -> bool {
        self.timer.has_fired() && self.cut_at().is_some_and(|cut_at| cut_at <= Instant::now())
    }

    /// Extends each deadline once by [`DEADLINE_GRACE`]. Returns whether it did.
    fn extend_deadline(&mut self) -> bool {
        let Some(deadline) = self.connection.deadline() else { return false };
        if self.extended.is_some_and(|(passed, _)| passed == deadline) {
            return false;
        }
        self.extended = Some((deadline, Instant::now() + DEADLINE_GRACE));
        true
    }

    /// Whether the head arrived in time after all. After a suspension of the process it is still in the kernel.
    fn read_late_head(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        let awaits_head =
            matches!(self.connection.phase(), Phase::New { .. } | Phase::Idle { .. } | Phase::Head { .. });
        if !awaits_head || self.has_ended {
            return Ok(false);
        }
        let start = buffer.filled().len();
        if let Poll::Ready(Err(error)) = self.read(cx, buffer) {
            return Err(error);
        }
        // The server reads again at once. A large head needs several reads, but its size is limited, so that a slow
        // client cannot prolong this.
        Ok(buffer.filled().len() > start || !self.is_overdue())
    }

    fn end(&mut self, cx: &mut Context<'_>) {
        if self.has_ended {
            return;
        }
        let response = if self.connection.cut() { TOO_SLOW.as_slice() } else { &[] };
        self.refuse(cx, response);
    }

    /// Stops reading from the client and sends `response`: the server has not seen the request.
    fn refuse(&mut self, cx: &mut Context<'_>, response: &[u8]) {
        self.has_ended = true;
        self.held.clear();
        if !self.is_writing && !response.is_empty() {
            // The socket's buffer is empty, and the response fits. If not, it is lost.
            let _written = Pin::new(&mut self.stream).poll_write(cx, response);
        }
    }

    /// Called when the server's task pauses: wakes it in time for a deadline, or at once for held bytes.
    fn schedule_wake_up(&mut self, cx: &mut Context<'_>) {
        if self.is_closing {
            return; // The timer now limits the close.
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
        if this.is_overdue() && !this.extend_deadline() {
            if !this.read_late_head(cx, buffer)? {
                this.end(cx);
            }
            return Poll::Ready(Ok(()));
        }
        if this.connection.expects_input() { this.read_within_quota(cx, buffer) } else { this.read_ahead(cx) }
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

    /// The server flushes when it has nothing left to write, before its task pauses.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.is_writing = false;
        this.schedule_wake_up(cx);
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    /// Closes in two steps: first the output, then the stream, when the client has closed or after `linger`.
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
