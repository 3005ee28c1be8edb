//! The connections of webhooks. They are their own: whatever endpoints do, batches have theirs.

use service_kit::config::ConfigError;
use service_kit::database::{Database, DatabaseConfig};
use service_kit::metrics::Registry;

use crate::database;

/// Connections of the senders: each uses one for milliseconds before and after its requests.
const OF_SENDERS: usize = 3;
/// Connections of all else. However many senders there are, events are fed and what is due is noticed.
const OF_FEEDERS: usize = 2;

/// All connections of webhooks.
pub(crate) const CONNECTIONS: usize = OF_SENDERS + OF_FEEDERS;

/// The databases that webhooks use.
pub(crate) struct Databases {
    /// For leasing deliveries and recording results.
    pub(crate) senders: Database,
    /// For feeding, polling and cleaning up.
    pub(crate) feeders: Database,
}

impl Databases {
    pub(crate) fn open(config: &DatabaseConfig, registry: &Registry) -> Result<Self, ConfigError> {
        let config = config.clone().with_own_validity();
        let of_size = |size| config.clone().with_pool_size(size);
        Ok(Self {
            senders: database::open(&of_size(OF_SENDERS), "projector")?.measured(registry, "webhook-senders"),
            // A lock that is held for longer is not waited for: others would wait too.
            feeders: database::open_for_batches(&of_size(OF_FEEDERS), "projector")?
                .measured(registry, "webhook-feeders"),
        })
    }
}
