//! How many connections the process has descriptors for.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{BindError, HttpConfig};

/// Kept back for the process itself: its threads, logs, listeners, and the connections of probes and scrapers.
const OWN: usize = 64;

/// Threads beyond these need descriptors of their own.
const WORKERS_WITHIN_OWN: usize = 8;
const PER_FURTHER_WORKER: usize = 4;

/// A process that could serve no more than this would refuse most of its clients.
const FEWEST: usize = 256;

/// How many connections of clients are served at once.
#[derive(Debug, Clone, Copy)]
pub struct Served(usize);

impl Served {
    /// Raises the limit of open files as far as it goes, and shares the descriptors out: to the `database_connections`, to the
    /// process itself, and the rest to clients, up to `HTTP_MAX_CONNECTIONS`.
    ///
    /// # Errors
    ///
    /// [`BindError::TooFewDescriptors`] when less than 256 connections remain.
    pub fn plan(config: &HttpConfig, database_connections: usize) -> Result<Self, BindError> {
        let Descriptors { limit, own, left } = share_out(database_connections, config.http_workers)?;
        let served = left.min(config.max_connections());
        // Each worker serves as many as the others.
        let served = served - served % config.http_workers;
        tracing::info!(
            descriptors.limit = limit,
            descriptors.database = database_connections,
            descriptors.own = own,
            http.max_connections = served,
            "connections that are served at once"
        );
        Ok(Self(served))
    }

    /// How many there are.
    #[must_use]
    pub fn connections(self) -> usize {
        self.0
    }
}

/// For a process that serves nothing but its probes and metrics. The same number must remain: one that has no more would fail
/// at the first file or connection beyond its plan.
///
/// # Errors
///
/// [`BindError::TooFewDescriptors`] when less than 256 remain.
pub fn check_descriptors(database_connections: usize) -> Result<(), BindError> {
    share_out(database_connections, 1).map(|_enough| ())
}

struct Descriptors {
    limit: usize,
    own: usize,
    left: usize,
}

fn share_out(database_connections: usize, workers: usize) -> Result<Descriptors, BindError> {
    let limit = raise_limit();
    let own = OWN + PER_FURTHER_WORKER * workers.saturating_sub(WORKERS_WITHIN_OWN);
    let left = limit.saturating_sub(database_connections + own);
    if left < FEWEST {
        return Err(BindError::TooFewDescriptors { limit, database_connections, own, left });
    }
    Ok(Descriptors { limit, own, left })
}

/// Raises the soft limit of open files to the hard one, and returns what it is then.
pub(super) fn raise_limit() -> usize {
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be read");
            return usize::MAX;
        }
    };
    let raised = soft == hard
        || setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
            .inspect_err(|error| tracing::warn!(%error, "the limit of open files cannot be raised"))
            .is_ok();
    usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX)
}
