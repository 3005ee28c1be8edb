//! Orders and their outbox in PostgreSQL.

mod archive;
mod commit;
mod group_commit;
mod job;
mod needs;
mod row;
mod save_batch;
mod schema;
mod writer;

pub use archive::PgOrderArchive;
pub use needs::NEEDS;
pub use writer::{Limits, PgOrderWriter};
