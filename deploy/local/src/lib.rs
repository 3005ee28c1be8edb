//! `cargo run -p local`: the whole system on one machine and a demonstration.

pub mod launcher;
