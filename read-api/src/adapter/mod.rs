//! HTTP on one side, PostgreSQL on the other.

pub mod http;
pub mod postgres;
