//! read-api over HTTP, against a real PostgreSQL.

mod bad_input;
mod failure;
mod queries;
mod support;
