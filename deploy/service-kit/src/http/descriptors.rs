//! Divides the file descriptors of the process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{BindError, HttpConfig};

/// Reserved for the process itself: threads, logs, listeners, and connections of probes and scrapers.
const OWN: usize = 64;

/// Threads beyond these need descriptors of their own.
const WORKERS_WITHIN_OWN: usize = 8;
const PER_FURTHER_WORKER: usize = 4;

/// With fewer connections a process would refuse most of its clients.
const FEWEST: usize = 256;

/// How many client connections are served at once.
#[derive(Debug, Clone, Copy)]
pub struct Served(usize);

impl Served {
    /// Raises the limit of open files to its maximum and divides the descriptors: `database_connections`, the process
    /// itself, and the rest for clients, up to `HTTP_MAX_CONNECTIONS`.
    ///
    /// # Errors
    ///
    /// [`BindError::TooFewDescriptors`] when fewer than 256 remain for clients.
    pub fn plan(config: &HttpConfig, database_connections: usize) -> Result<Self, BindError> {
        let Descriptors { limit, own, left } = divide(database_connections, config.http_workers)?;
        let served = left.min(config.max_connections());
        // Each worker serves the same number.
        let served = served - served % config.http_workers;
        tracing::info!(
            descriptors.limit = limit,
            descriptors.database = database_connections,
            descriptors.own = own,
            http.max_connections = served,
            "file descriptors divided among database, process and clients"
        );
        Ok(Self(served))
    }

    /// The number of client connections.
    #[must_use]
    pub fn connections(self) -> usize {
        self.0
    }
}

struct Descriptors {
    limit: usize,
    own: usize,
    left: usize,
}

fn divide(database_connections: usize, workers: usize) -> Result<Descriptors, BindError> {
    let limit = raise_limit();
    let own = OWN + PER_FURTHER_WORKER * workers.saturating_sub(WORKERS_WITHIN_OWN);
    let left = limit.saturating_sub(database_connections + own);
    if left < FEWEST {
        return Err(BindError::TooFewDescriptors { limit, database_connections, own, left });
    }
    Ok(Descriptors { limit, own, left })
}

/// Raises the soft limit of open files to the hard one, and returns the new limit.
pub(super) fn raise_limit() -> usize {
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(error) => {
            tracing::warn!(%error, "cannot read the limit of open files");
            return usize::MAX;
        }
    };
    let raised = soft == hard
        || setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
            .inspect_err(|error| tracing::warn!(%error, "cannot raise the limit of open files"))
            .is_ok();
    usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX)
}
