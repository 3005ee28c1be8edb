//! Where the next connection leads: the URL is read again if it comes from a file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::ExposeSecret;

use super::config::DatabaseConfig;
use super::target::Target;
use crate::overload::OncePerSecond;
use crate::secret_file::{self, SecretSource};

/// The targets of one pool.
pub(super) struct Targets {
    config: DatabaseConfig,
    process: String,
    last: Mutex<Arc<Target>>,
}

impl Targets {
    pub(super) fn new(config: DatabaseConfig, process: &str, first: Target) -> Self {
        Self { config, process: process.to_owned(), last: Mutex::new(Arc::new(first)) }
    }

    /// The target for a new connection. While the file cannot be used, it is the last one: a file that is being
    /// replaced must not cost connections.
    pub(super) async fn next(&self) -> Arc<Target> {
        if let SecretSource::File(file) = self.config.source() {
            match self.read(file.clone()).await {
                Ok(target) => *self.lock() = Arc::new(target),
                Err(reason) => warn(&reason, "the file of DATABASE_URL_FILE cannot be used; the last URL is"),
            }
        }
        Arc::clone(&self.lock())
    }

    async fn read(&self, file: PathBuf) -> Result<Target, String> {
        let read = tokio::task::spawn_blocking(move || secret_file::read(&file));
        let read = read.await.map_err(|ended| ended.to_string())?;
        let (url, is_open) = read.map_err(|error| error.to_string())?;
        if is_open {
            warn("chmod o-r", "every user can read the file of DATABASE_URL_FILE");
        }
        self.config.target_at(url.expose_secret(), &self.process).map_err(|error| error.to_string())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<Target>> {
        // No code that holds the lock can panic.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn(reason: &str, what: &'static str) {
    static LINE: OncePerSecond = OncePerSecond::new();
    if let Some(times) = LINE.count() {
        tracing::warn!(reason, times, "{what}");
    }
}
