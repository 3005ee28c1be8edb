//! The read model in PostgreSQL.

mod queries;
mod row;
mod schema;

pub use queries::PgOrderQueries;
