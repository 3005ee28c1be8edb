//! Where the next connection leads: the URL is read again if it comes from a file.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::ExposeSecret;

use super::config::DatabaseConfig;
use super::target::Target;
use crate::config::ConfigError;
use crate::files::Turns;
use crate::overload::OncePerSecond;
use crate::secret_file::{self, SecretFileError, SecretSource};

/// The targets of one pool.
pub(super) struct Targets {
    last: Arc<LastTarget>,
    reads: UrlReads,
}

/// What all pools of one configuration share: they read the same file.
#[derive(Debug, Clone, Default)]
pub(super) struct UrlReads {
    turns: Turns,
    lines: Arc<Lines>,
}

/// One for each warning, so that none hides another.
#[derive(Debug, Default)]
struct Lines {
    unusable: OncePerSecond,
    elsewhere: OncePerSecond,
    world_readable: OncePerSecond,
}

struct LastTarget {
    config: DatabaseConfig,
    process: String,
    target: Mutex<Arc<Target>>,
}

/// Why the URL of the file is not used.
#[derive(Debug, thiserror::Error)]
enum NotUsed {
    #[error("it {0}")]
    File(#[from] SecretFileError),
    #[error(transparent)]
    Url(#[from] ConfigError),
    #[error("it is not read in time")]
    NotInTime,
    #[error("it cannot be read: {0}")]
    Ended(#[from] std::io::Error),
    #[error("it has another {0}")]
    Elsewhere(&'static str),
}

impl Targets {
    pub(super) fn new(config: DatabaseConfig, process: &str, first: Target) -> Self {
        let (reads, target) = (config.url_reads().clone(), Mutex::new(Arc::new(first)));
        Self { last: Arc::new(LastTarget { config, process: process.to_owned(), target }), reads }
    }

    /// The target for a new connection, at least as new as the file was when this began. While the file cannot be
    /// used, it is the last one: a file that is being replaced must not cost connections.
    pub(super) async fn next(&self) -> Arc<Target> {
        if let SecretSource::File(file) = self.last.config.source() {
            let (last, file) = (Arc::clone(&self.last), file.clone());
            // One after another: otherwise the one that read first could store last, and bring back an old password.
            let read = self.reads.turns.run(move || last.replace_from(&file));
            let read = tokio::time::timeout(self.last.config.url_read_limit(), read).await;
            let read = read.map_err(|_| NotUsed::NotInTime).and_then(|ended| ended?);
            self.reads.lines.log(&read);
        }
        Arc::clone(&self.last.lock())
    }
}

impl LastTarget {
    /// Whether every user can read the file.
    fn replace_from(&self, file: &Path) -> Result<bool, NotUsed> {
        let (url, is_world_readable) = secret_file::read(file)?;
        let new = self.config.target_at(url.expose_secret(), &self.process)?;
        let mut last = self.lock();
        if let Some(changed) = last.change_that_needs_a_restart(&new) {
            return Err(NotUsed::Elsewhere(changed));
        }
        *last = Arc::new(new);
        Ok(is_world_readable)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<Target>> {
        // No code that holds the lock can panic.
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn log(&self, read: &Result<bool, NotUsed>) {
        let line = match read {
            Ok(false) => return,
            Ok(true) => &self.world_readable,
            Err(NotUsed::Elsewhere(_)) => &self.elsewhere,
            Err(_) => &self.unusable,
        };
        let Some(times) = line.count() else { return };
        match read {
            Ok(_) => {
                let remedy = "chmod o-r";
                tracing::warn!(remedy, times, "every user can read the file of DATABASE_URL_FILE");
            }
            Err(reason @ NotUsed::Elsewhere(_)) => tracing::error!(
                %reason,
                times,
                "the file of DATABASE_URL_FILE leads elsewhere; the last URL is used: to move, restart the process"
            ),
            Err(reason) => tracing::warn!(
                %reason,
                times,
                "the file of DATABASE_URL_FILE cannot be used; the last URL is"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
