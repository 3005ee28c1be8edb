//! The read model in PostgreSQL.

mod changes;
mod coalesce;
mod detail;
mod list;
mod list_of_all;
mod needs;
mod position;
mod queries;
mod query;
mod row;
mod watch;

pub use needs::NEEDS;
pub use queries::{DEDICATED_CONNECTIONS, PgOrderQueries};
pub use watch::{PgOrderWatch, WATCH_CONNECTIONS};

/// Settings of every session. Every statement finds its rows by index and in its order. Plans are generic, so that
/// they depend neither on the table's size at the time of planning nor on the arguments, and are made once.
pub const BY_KEY_ONLY: &[&str] =
    &["enable_seqscan=off", "enable_bitmapscan=off", "jit=off", "plan_cache_mode=force_generic_plan"];
