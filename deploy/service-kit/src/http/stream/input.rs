//! Which bytes the server gets: those of one request at a time.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{MAX_HELD, TimedStream};
use crate::http::chunks_end::ChunksEnd;
use crate::http::connection::{Body, Phase};
use crate::http::connection_metrics::Cut;
use crate::http::head_end::HeadEnd;
use crate::http::refusal::TOO_LARGE;

impl<S: AsyncRead + AsyncWrite + Unpin> TimedStream<S> {
    /// Reads as much as the server may have before it works on it.
    pub(super) fn read_within_quota(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read_quota.is_used_up(cx) {
            return Poll::Pending;
        }
        let start = buffer.filled().len();
        let result = self.read(cx, buffer);
        if result.is_pending() {
            self.read_quota.reset();
        } else {
            self.read_quota.add(buffer.filled().len() - start);
        }
        result
    }

    /// Reads what the server may have now.
    pub(super) fn read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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
            self.connection.count_cut(Cut::LargeHead);
            self.refuse(cx, &TOO_LARGE);
        }
        Poll::Ready(Ok(()))
    }

    /// Follows the head or body in the bytes of `buffer` from `start` on, and holds back the bytes after its end: the
    /// server must not decode the next head before it has sent the response, nor a body before its length is known
    /// here.
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
        // These bytes precede the held ones.
        self.held.splice(..0, behind.iter().copied());
        buffer.set_filled(start + length);
    }

    fn follow_head(&mut self, new: &[u8], since: Instant) -> Option<usize> {
        let end = self.head.find(new);
        self.connection.set(match end {
            // The time starts again: a complete head is not cut, even if it was read late.
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

    /// Reads while a response is pending, to detect a close. The server gets none of it yet.
    pub(super) fn read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 1_024];
        while !self.has_ended && self.held.len() < MAX_HELD {
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            self.has_ended = buffer.filled().is_empty();
            self.held.extend_from_slice(buffer.filled());
        }
        // The server gets the held bytes before the end.
        if self.has_ended && self.held.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}
