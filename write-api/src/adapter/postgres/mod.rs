//! Orders and their outbox in PostgreSQL.

mod insert_order;
mod row;
mod schema;
mod writer;

pub use writer::{CheckError, PgOrderWriter};
