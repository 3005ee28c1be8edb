//! The read model in PostgreSQL.

mod changes;
mod coalesce;
mod find;
mod list;
mod needs;
mod position;
mod queries;
mod row;
mod watch;

pub use needs::NEEDS;
pub use queries::{CONNECTIONS, PgOrderQueries};
pub use watch::{PgOrderWatch, WATCH_CONNECTIONS};

/// Every statement finds its rows by key and in order: a plan that is kept must not depend on what the table held when it was
/// made, and is not weighed anew for each call.
pub const BY_KEY_ONLY: &[&str] =
    &["enable_seqscan=off", "enable_bitmapscan=off", "jit=off", "plan_cache_mode=force_generic_plan"];
