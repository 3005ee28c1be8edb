//! Orders and their outbox in PostgreSQL.

mod archive;
mod batch_bytes;
mod commit;
mod group_commit;
mod job;
mod needs;
mod row;
mod save_batch;
mod schema;
mod shared_text;
mod waiting;
mod writer;

pub use archive::PgOrderArchive;
pub use needs::NEEDS;
pub use writer::{Limits, PgOrderWriter};
