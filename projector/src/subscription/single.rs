//! A subscription of a listener without a task of its own: somebody else says when it is its turn.

use std::time::Duration;

use service_kit::database::Database;

use super::listener::Listener;
use super::task::{Known, Pace, Task};
use super::wait::Wait;

/// A subscription of a listener.
pub(crate) struct Single {
    task: Task,
    known: Known,
}

/// What one turn led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stepped {
    /// The next turn is due after this time.
    Again(Duration),
    /// All events that can be read are handled: up to its checkpoint.
    CaughtUp { checkpoint: i64 },
}

impl Single {
    pub(crate) fn listener(database: Database, listener: Box<dyn Listener>, pace: Pace) -> Self {
        let known = Known::new(&pace);
        Self { task: Task::listener(database, listener, pace), known }
    }

    /// Runs one batch, and events that an operator wants to be tried again. Failures are recorded.
    pub(crate) async fn step(&mut self) -> Stepped {
        match self.task.step(&mut self.known).await {
            Wait::For(pause) => Stepped::Again(pause),
            Wait::AtHole { position, .. } | Wait::ForNewer { position, .. } => {
                Stepped::CaughtUp { checkpoint: position }
            }
        }
    }
}
