//! The projector against a real PostgreSQL.

mod convergence;
mod cycle;
mod golden;
mod parking;
mod process;
mod revenue_by_month;
mod support;
mod workers;
