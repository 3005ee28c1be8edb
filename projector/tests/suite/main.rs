//! The projector against a real PostgreSQL.

mod convergence;
mod cycle;
mod parking;
mod process;
mod support;
mod workers;
