//! Critical background tasks: when one of them dies, the process ends.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::http::BoundServer;

/// A critical task panicked, or its runtime ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task {0:?} has died")]
pub struct TaskDied(&'static str);

/// Why a [`Service`] ended without a stop.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The HTTP server failed.
    #[error("the HTTP server failed")]
    Http(#[from] std::io::Error),
    /// A critical task died.
    #[error(transparent)]
    Task(#[from] TaskDied),
}

/// Spawns critical tasks. The first one that dies cancels the stop token: the process finishes requests in flight and
/// ends, and a supervisor restarts it.
#[derive(Debug, Clone)]
pub struct CriticalTasks {
    stop: CancellationToken,
    died: Arc<OnceLock<TaskDied>>,
}

impl CriticalTasks {
    /// Tasks of a process that ends with `stop`.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, died: Arc::default() }
    }

    /// Runs `task`. A task that returns is done; one that panics or is dropped earlier has died.
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

    /// Ends the process: what it needs is gone.
    pub fn fail(&self, name: &'static str) {
        let _not_the_first = self.died.set(TaskDied(name));
        // Before logging: the process must end even if logging blocks.
        self.stop.cancel();
        tracing::error!(task = name, "a critical task has died; the process ends");
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
    /// [`TaskDied`] if one has.
    pub fn check(&self) -> Result<(), TaskDied> {
        self.died.get().cloned().map_or(Ok(()), Err)
    }
}

/// Lives in a task and is dropped with it.
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
        // At the end of the process the runtime drops its tasks; that is no failure.
        let is_shutdown = !std::thread::panicking() && self.tasks.stop.is_cancelled();
        if self.has_returned || is_shutdown {
            return;
        }
        self.tasks.fail(self.name);
    }
}

/// An HTTP server and its critical tasks.
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
    pub async fn run(mut self) -> Result<(), ServiceError> {
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
    fn a_task_dies_with_its_runtime_unless_the_process_is_stopping() {
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
