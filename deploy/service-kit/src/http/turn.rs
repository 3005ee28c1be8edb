//! How much of what a client sends the server takes in before it works on it.

use std::task::Context;

/// As soon as this much has been read, the server has to work on it before it gets more. Otherwise it buffers up to 128 KiB of each
/// connection. It keeps such a buffer with an idle connection; and of up to 256 finished requests a thread it keeps the paths, each
/// a part of such a buffer, which stays in memory as a whole.
const ENOUGH: usize = 8 * 1_024;

/// What the server has read since it last worked on something.
#[derive(Default)]
pub(super) struct Turn {
    bytes: usize,
}

impl Turn {
    /// Whether the server has read enough. Then it gets no more in this turn, and the task is woken for the next one.
    pub(super) fn ends(&mut self, cx: &Context<'_>) -> bool {
        let is_enough = self.bytes >= ENOUGH;
        if is_enough {
            self.bytes = 0;
            cx.waker().wake_by_ref();
        }
        is_enough
    }

    /// The server has read so many bytes more.
    pub(super) fn has_read(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// There was nothing to read: the server works on what it has.
    pub(super) fn found_nothing(&mut self) {
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
    use super::super::limits::Limits;
    use super::super::stats::Stats;
    use super::super::stream::TimedStream;
    use super::*;
    use crate::metrics::Registry;

    /// The spare space of the server's buffer.
    const SPACE: usize = 4 * 1_024;

    /// Reads as the server does: until nothing comes.
    fn read_all_that_comes(stream: &mut TimedStream<tokio::io::DuplexStream>, cx: &mut Context<'_>) -> usize {
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
    async fn a_large_request_is_handed_over_in_parts_without_a_pause() {
        let limit = Duration::from_mins(1);
        let limits =
            Limits { head: limit, unread_body: limit, keep_alive: limit, linger: limit, stall: limit };
        let stats = Stats::register(&Registry::new(&[]).unwrap(), "test");
        let (mut client, server) = tokio::io::duplex(1_000_000);
        let mut stream = TimedStream::new(server, Connection::start(limits, &stats));
        let head = "POST / HTTP/1.1\r\ncontent-length: 200000\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&vec![b'x'; 200_000]).await.unwrap();
        let read = poll_fn(|cx| Poll::Ready(read_all_that_comes(&mut stream, cx))).await;
        assert_eq!(read, head.len(), "the body is held until its length is known");
        stream.connection().begin_request(Body::Length(200_000));
        let mut left = 200_000;
        let reading = poll_fn(|cx| {
            let read = read_all_that_comes(&mut stream, cx);
            assert!(read > 0 && read < ENOUGH + SPACE, "{read} bytes at once");
            left -= read;
            let _flushed = Pin::new(&mut stream).poll_flush(cx);
            // The stream has it woken again: the client sends no more.
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap();
    }
}
