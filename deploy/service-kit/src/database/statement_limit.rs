//! A limit on each statement of a transaction, including BEGIN and COMMIT.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::InstrumentationEvent;
use diesel_async::{AsyncConnection, AsyncPgConnection};

/// How long each statement on a connection may take. PostgreSQL limits statements too; this limit also works when the
/// connection is dead.
pub struct StatementLimit {
    /// When a statement last began or ended. Rows must arrive within the limit after that.
    last_event: Arc<Mutex<Instant>>,
    limit: Duration,
}

/// A statement took too long. The connection must be closed: the statement may still be running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database did not respond")]
pub struct NoAnswer;

impl StatementLimit {
    pub(super) fn on(connection: &mut AsyncPgConnection, limit: Duration) -> Self {
        let last_event = Arc::new(Mutex::new(Instant::now()));
        let event_now = Arc::clone(&last_event);
        connection.set_instrumentation(move |_: InstrumentationEvent<'_>| {
            *event_now.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        });
        Self { last_event, limit }
    }

    /// Runs `work` on this connection and abandons it when one of its statements takes too long.
    pub async fn run<T>(self, work: impl Future<Output = T>) -> Result<T, NoAnswer> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.reached() => Err(NoAnswer),
        }
    }

    async fn reached(&self) {
        loop {
            let deadline = *self.last_event.lock().unwrap_or_else(PoisonError::into_inner) + self.limit;
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline.into()).await;
        }
    }
}
