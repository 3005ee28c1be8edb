//! The feed over HTTP.

mod checkpoints;
mod expiry;
mod gap_free;
mod holes;
mod openapi;
mod reading;
mod shares;
mod support;
mod waiting;
