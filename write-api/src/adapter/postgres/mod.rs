//! Orders and their outbox in PostgreSQL.

mod archive;
mod needs;
mod row;
mod schema;
mod writer;

pub use archive::PgOrderArchive;
pub use needs::NEEDS;
pub use writer::{Limits, PgOrderWriter};
