//! Where the projector meets the world.

pub mod postgres;
