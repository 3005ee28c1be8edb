//! The whole system on one machine.
//!
//! | Module | For |
//! |---|---|
//! | [`postgres`] | a private PostgreSQL server, found or fetched, that never outlives its user |
//! | [`database`] | the database of the services, migrated, on a private server or where there is one already |
//! | [`services`] | the three real binaries as child processes |
//! | [`launcher`] | `cargo run -p local`: all of them together, and a demonstration |
//! | [`test_database`] | for tests: a database of their own on one shared server |
//! | [`process`] | child processes that never outlive this one |
//! | [`golden`] | for tests: statements and plans word for word |
//! | [`fault_proxy`] | for tests: a wire to the database that can be cut or go silent |
//! | [`pgbouncer`] | for tests: a pooler in front of the database |
//! | [`load`] | for tests: requests that go on meanwhile |
//! | [`column_changes`] | for tests: another type for each column |
//! | [`readiness`] | for tests: what a process says about its readiness |
//! | [`wait`] | for tests and start-up: wait for a condition, with a deadline |

pub mod column_changes;
pub mod database;
pub mod fault_proxy;
pub mod golden;
pub mod launcher;
pub mod load;
pub mod pgbouncer;
pub mod postgres;
pub mod process;
pub mod readiness;
pub mod services;
pub mod test_database;
pub mod wait;
