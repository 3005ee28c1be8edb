//! The tasks of the read models that are subscriptions.

use std::collections::BTreeSet;

use service_kit::config::ConfigError;
use service_kit::database::DatabaseConfig;
use service_kit::metrics::Registry;

use super::task::{Pace, Task};
use crate::database;
use crate::parked::RetryPolicy;
use crate::projection::Projection;

/// Connections of one read model. They are its own: while it hangs, others have theirs.
pub(crate) const CONNECTIONS_EACH: usize = 1;

/// Why the read models cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used as configured.
    #[error("the configuration is wrong")]
    Config(#[from] ConfigError),
    /// Each name is that of a subscription.
    #[error("there are two read models named {0}")]
    Duplicate(&'static str),
}

/// A task for each of `read_models`.
pub(crate) fn read_model_tasks(
    config: &DatabaseConfig,
    read_models: Vec<Box<dyn Projection>>,
    retry_policy: RetryPolicy,
    pace: &Pace,
    registry: &Registry,
) -> Result<Vec<Task>, StartError> {
    let mut names = BTreeSet::new();
    if let Some(twice) = read_models.iter().map(|model| model.name()).find(|name| !names.insert(*name)) {
        return Err(StartError::Duplicate(twice));
    }
    let config = config.clone().with_pool_size(CONNECTIONS_EACH);
    let task = |model: Box<dyn Projection>| {
        let config = config.clone().with_own_validity();
        let database = database::open_for_batches(&config, "projector")?.measured(registry, model.name());
        Ok(Task::read_model(database, model, retry_policy, pace.clone()))
    };
    read_models.into_iter().map(task).collect()
}
