//! The projector against a real PostgreSQL.

mod convergence;
mod cycle;
mod parking;
mod process;
mod revenue_by_month;
mod support;
mod workers;
