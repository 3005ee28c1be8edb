//! The example against a real PostgreSQL.
#![expect(clippy::indexing_slicing, reason = "a test may panic, in its helpers too")]

mod api;
mod arguments;
mod beside;
mod crashes;
mod golden;
mod grants;
mod locked;
mod migrations;
mod orders;
mod parked;
mod permutations;
mod rights;
mod support;
mod system;
mod wiring;
