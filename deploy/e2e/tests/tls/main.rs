//! TLS to PostgreSQL, with a generated CA and a real server.

mod accepted;
mod files;
mod password;
mod poolers;
mod processes;
mod refused;
mod scene;
