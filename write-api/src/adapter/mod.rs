//! Where the write side meets the world.

pub mod http;
pub mod postgres;
