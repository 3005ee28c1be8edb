//! read-api over HTTP, against a real PostgreSQL.

mod bad_input;
mod batches;
mod crash;
mod cursors;
mod dashboard;
mod failover;
mod failure;
mod golden;
mod limits;
mod live;
mod live_fairness;
mod live_open_transaction;
mod live_simulation;
mod odd_rows;
mod openapi;
mod paging;
mod poolers;
mod queries;
mod read_your_write;
mod restored_dump;
mod sessions;
mod slow_client;
mod standby;
mod support;
