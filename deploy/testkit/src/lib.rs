//! Parts that tests, the launcher and the benchmarks start. None outlives the process that started it.
//!
//! | Module | For |
//! |---|---|
//! | [`postgres`] | a private PostgreSQL server, found or fetched |
//! | [`database`] | the migrated database of the services, on a private or an existing server |
//! | [`services`] | the three real services as child processes |
//! | [`process`] | child processes that never outlive this one |
//! | [`prometheus`] | scrapes services, and is asked |
//! | [`wait`] | wait for a condition, with a deadline |
//! | [`test_database`] | a database per test on one shared server |
//! | [`golden`] | golden files, such as query plans |
//! | [`fault_proxy`] | a proxy to the database that can cut or drop traffic |
//! | [`recording_proxy`] | a proxy that records what a client sends |
//! | [`owned_database`] | a database whose owner is no superuser |
//! | [`privileges`] | what roles may do |
//! | [`arguments`] | whether a program repeats arguments |
//! | [`certificates`] | a CA, and the certificates that it issues |
//! | [`pgbouncer`] | a pooler in front of the database |
//! | [`citus`] | a cluster of Citus, if PostgreSQL has it |
//! | [`citus_catalogs`] | the catalogs of Citus without it |
//! | [`load`] | requests in the background |
//! | [`tokens`] | an issuer of access tokens, and a role for each caller |
//! | [`statement_log`] | the statements that a server has executed |
//! | [`column_changes`] | a changed type for each column |
//! | [`readiness`] | waits for a readiness |
//! | [`otlp`] | a collector of traces |
//! | [`cell`] | a cell with its processes, and what its clients see |
//! | [`webhook_receiver`] | receives the messages of webhooks |
//! | [`curl`] | whether there is `curl` |

#![allow(missing_docs, reason = "for this workspace only: comments say what names do not")]

pub mod arguments;
pub mod cell;
pub mod certificates;
pub mod citus;
pub mod citus_catalogs;
pub mod column_changes;
pub mod curl;
pub mod database;
pub mod fault_proxy;
pub mod golden;
pub mod load;
pub mod otlp;
pub mod owned_database;
pub mod pgbouncer;
pub mod ports;
pub mod postgres;
pub mod privileges;
pub mod process;
pub mod prometheus;
pub mod readiness;
pub mod recording_proxy;
pub mod services;
pub mod statement_log;
pub mod test_database;
pub mod tokens;
pub mod wait;
pub mod webhook_receiver;
