//! HTTP and PostgreSQL.

pub mod http;
pub mod postgres;
