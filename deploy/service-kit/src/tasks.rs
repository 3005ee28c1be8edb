//! Background tasks without which a process is useless: when one of them dies, the process ends.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::http::BoundServer;

/// A critical task panicked, or the runtime that it ran on is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task {0:?} has died")]
pub struct TaskDied(&'static str);

/// Why a [`Service`] ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The HTTP server cannot go on.
    #[error("the HTTP server failed")]
    Http(#[from] std::io::Error),
    /// A critical task died. The process ends rather than live on without it.
    #[error(transparent)]
    Task(#[from] TaskDied),
}

/// Spawns the tasks that a process cannot do without. The first one that dies cancels the stop token, so that the process
/// finishes what is in flight and ends; a supervisor then starts a healthy one.
#[derive(Debug, Clone)]
pub struct CriticalTasks {
    stop: CancellationToken,
    died: Arc<OnceLock<TaskDied>>,
}

impl CriticalTasks {
    /// Tasks of the process that `stop` stops.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, died: Arc::default() }
    }

    /// Runs `task`. If it returns, it has done its work; if it panics or is dropped before that, it has died.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let watch = DeathWatch { name, tasks: self.clone(), has_returned: false };
        tokio::spawn(async move {
            task.await;
            watch.end();
        });
    }

    /// The token that stops the process.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// The first task that died.
    ///
    /// # Errors
    ///
    /// [`TaskDied`] where one has.
    pub fn check(&self) -> Result<(), TaskDied> {
        self.died.get().cloned().map_or(Ok(()), Err)
    }
}

/// Lives inside a task, and is dropped with it.
struct DeathWatch {
    name: &'static str,
    tasks: CriticalTasks,
    has_returned: bool,
}

impl DeathWatch {
    /// The task has returned.
    fn end(mut self) {
        self.has_returned = true;
    }
}

impl Drop for DeathWatch {
    fn drop(&mut self) {
        // A runtime that is taken down at the end of the process drops its tasks: that is no death.
        let is_shutdown = !std::thread::panicking() && self.tasks.stop.is_cancelled();
        if self.has_returned || is_shutdown {
            return;
        }
        let _not_the_first = self.tasks.died.set(TaskDied(self.name));
        // First: whatever logging does, the process ends.
        self.tasks.stop.cancel();
        tracing::error!(task = self.name, "a critical task has died; the process ends");
    }
}

/// An HTTP server, and the tasks that it is useless without.
pub struct Service {
    server: BoundServer,
    tasks: CriticalTasks,
}

impl Service {
    /// `server` must stop with the token of `tasks`.
    #[must_use]
    pub fn new(server: BoundServer, tasks: CriticalTasks) -> Self {
        Self { server, tasks }
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The address of the probes and metrics.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.server.admin_address()
    }

    /// Serves until stopped and drained.
    ///
    /// # Errors
    ///
    /// [`ServiceError`]; when a task has died, requests in flight are finished first.
    pub async fn run(self) -> Result<(), ServiceError> {
        let ended = self.server.run().await;
        self.tasks.check()?;
        Ok(ended?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_stops_the_process_and_is_named_and_a_return_does_not() {
        let tasks = CriticalTasks::new(CancellationToken::new());
        tasks.spawn("returns", async {});
        tokio::task::yield_now().await;
        assert!(tasks.check().is_ok() && !tasks.stop().is_cancelled());
        tasks.spawn("panics", async { panic!("a bug") });
        tasks.stop().cancelled().await;
        assert_eq!(tasks.check(), Err(TaskDied("panics")));
    }

    #[test]
    fn a_task_whose_runtime_is_gone_has_died_unless_the_process_was_stopping() {
        for (is_stopping, expected) in [(false, Err(TaskDied("waits"))), (true, Ok(()))] {
            let tasks = CriticalTasks::new(CancellationToken::new());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                tasks.spawn("waits", std::future::pending());
                tokio::task::yield_now().await;
            });
            if is_stopping {
                tasks.stop().cancel();
            }
            drop(runtime);
            assert_eq!(tasks.check(), expected);
        }
    }
}
