//! write-api over HTTP, against a real PostgreSQL.

mod bad_input;
mod failure;
mod placing;
mod process;
mod support;
