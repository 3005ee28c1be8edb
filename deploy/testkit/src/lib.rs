//! What tests, the launcher and the benchmarks start. Nothing of it outlives its user.
//!
//! | Module | For |
//! |---|---|
//! | [`postgres`] | a private PostgreSQL server, found or fetched |
//! | [`database`] | the database of the services, migrated, on a private server or on one that runs already |
//! | [`services`] | the three real services as child processes |
//! | [`process`] | child processes that never outlive this one |
//! | [`wait`] | wait for a condition, with a deadline |
//! | [`test_database`] | a database per test on one shared server |
//! | [`golden`] | query plans word for word |
//! | [`fault_proxy`] | a connection to the database that can be cut or go silent |
//! | [`pgbouncer`] | a pooler in front of the database |
//! | [`load`] | requests that go on in the background |
//! | [`column_changes`] | another type for each column |
//! | [`readiness`] | what a process says about its readiness |

pub mod column_changes;
pub mod database;
pub mod fault_proxy;
pub mod golden;
pub mod load;
pub mod pgbouncer;
pub mod postgres;
pub mod process;
pub mod readiness;
pub mod services;
pub mod test_database;
pub mod wait;
