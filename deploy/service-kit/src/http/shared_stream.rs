//! A stream that stays open after the server dropped it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Connection;
use super::stream::TimedStream;

/// A stream shared by the server and the code that closes it, on one thread.
pub(super) struct SharedStream<S>(Rc<RefCell<TimedStream<S>>>);

impl<S> Clone for SharedStream<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> SharedStream<S> {
    pub(super) fn new(stream: TimedStream<S>) -> Self {
        Self(Rc::new(RefCell::new(stream)))
    }

    pub(super) fn connection(&self) -> Rc<Connection> {
        Rc::clone(self.0.borrow().connection())
    }

    /// Closes in two steps, so that the client can read the response, unless the server has already done so.
    pub(super) async fn close(&self) {
        if self.0.borrow().is_closing() {
            return;
        }
        let closing = poll_fn(|cx| Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx));
        // On an error, dropping the stream closes it.
        let _closed = closing.await;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for SharedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for SharedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}
