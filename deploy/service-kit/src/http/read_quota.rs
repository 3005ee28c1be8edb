//! How many bytes the server reads before it works on them.

use std::task::Context;

/// After this many bytes the server must work before it reads more. Otherwise it buffers up to 128 KiB per connection,
/// keeps that buffer while the connection is idle, and keeps the paths of up to 256 finished requests per thread, each
/// of which keeps a whole buffer in memory.
const QUOTA: usize = 8 * 1_024;

/// Bytes read since the server last worked.
#[derive(Default)]
pub(super) struct ReadQuota {
    bytes: usize,
}

impl ReadQuota {
    /// Whether the quota is used up. If so, it resets the quota and wakes the task, so that the server continues at
    /// once.
    pub(super) fn is_used_up(&mut self, cx: &Context<'_>) -> bool {
        let is_used_up = self.bytes >= QUOTA;
        if is_used_up {
            self.bytes = 0;
            cx.waker().wake_by_ref();
        }
        is_used_up
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Called when there was nothing to read: the server then works on what it has.
    pub(super) fn reset(&mut self) {
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;
    use std::time::Duration;

    use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

    use super::super::connection::{Body, Connection};
    use super::super::connection_metrics::ConnectionMetrics;
    use super::super::limits::Limits;
    use super::super::stream::TimedStream;
    use super::*;
    use crate::metrics::Registry;

    /// Free space in the server's buffer.
    const SPACE: usize = 4 * 1_024;

    /// Reads as the server does: until nothing is left.
    fn read_until_pending(stream: &mut TimedStream<tokio::io::DuplexStream>, cx: &mut Context<'_>) -> usize {
        let mut read = 0;
        loop {
            let mut space = [0; SPACE];
            let mut buffer = ReadBuf::new(&mut space);
            if Pin::new(&mut *stream).poll_read(cx, &mut buffer).is_pending() {
                return read;
            }
            read += buffer.filled().len();
        }
    }

    #[tokio::test]
    async fn a_large_request_is_passed_on_in_parts_without_a_pause() {
        let limit = Duration::from_mins(1);
        let limits =
            Limits { head: limit, unread_body: limit, keep_alive: limit, linger: limit, stall_limit: limit };
        let metrics = ConnectionMetrics::register(&Registry::new(&[]).unwrap(), "test", 1);
        let (mut client, server) = tokio::io::duplex(1_000_000);
        let mut stream = TimedStream::new(server, Connection::start(limits, &metrics));
        let head = "POST / HTTP/1.1\r\ncontent-length: 200000\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&vec![b'x'; 200_000]).await.unwrap();
        let read = poll_fn(|cx| Poll::Ready(read_until_pending(&mut stream, cx))).await;
        assert_eq!(read, head.len(), "the body is held until its length is known");
        stream.connection().begin_request(Body::Length(200_000));
        let mut left = 200_000;
        let reading = poll_fn(|cx| {
            let read = read_until_pending(&mut stream, cx);
            assert!(read > 0 && read < QUOTA + SPACE, "{read} bytes at once");
            left -= read;
            let _flushed = Pin::new(&mut stream).poll_flush(cx);
            // The stream itself wakes the task: the client sends no more.
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap();
    }
}
