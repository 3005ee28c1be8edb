//! The projector against a real PostgreSQL.

mod convergence;
mod cycle;
mod frontier;
mod golden;
mod parking;
mod process;
mod revenue_by_month;
mod support;
mod workers;
