//! Where the projector meets the world.

pub mod http;
pub mod postgres;
