//! The timer of one connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// Lives as long as the connection. It is only set again after it fired, or when it would fire too late: usually a
/// request does not touch it.
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// Whether it will wake the task.
    is_registered: bool,
}

impl Timer {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(deadline)), is_registered: false }
    }

    pub(super) fn has_fired(&self) -> bool {
        self.sleep.is_elapsed()
    }

    /// Wakes the task at `deadline` or earlier.
    pub(super) fn wake_by(&mut self, deadline: Instant, cx: &mut Context<'_>) {
        if self.has_fired() || deadline < self.sleep.deadline() {
            self.set(deadline);
        }
        if !self.is_registered && self.poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    pub(super) fn set(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.is_registered = false;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.is_registered = true;
        self.sleep.as_mut().poll(cx)
    }
}
