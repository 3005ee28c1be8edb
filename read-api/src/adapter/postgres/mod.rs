//! The read model in PostgreSQL.

mod coalesce;
mod find;
mod list;
mod queries;
mod row;

pub use queries::PgOrderQueries;
