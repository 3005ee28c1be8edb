//! Orders and their outbox in PostgreSQL.

mod commit;
mod group_commit;
mod row;
mod save_batch;
mod schema;
mod writer;

pub use writer::{CheckError, Limits, PgOrderWriter};
