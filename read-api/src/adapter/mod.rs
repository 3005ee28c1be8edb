//! Where the read side meets the world.

pub mod http;
pub mod postgres;
