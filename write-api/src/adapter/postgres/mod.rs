//! Orders and their outbox in PostgreSQL.

mod emit_trace;
mod needs;
mod republish_source;
mod row;
mod schema;
mod writer;

pub use needs::NEEDS;
pub use republish_source::PgRepublishSource;
pub use writer::{BUCKETS, Limits, PgOrderWriter};
