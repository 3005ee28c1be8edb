//! read-api over HTTP, against a real PostgreSQL.

mod bad_input;
mod dashboard;
mod failure;
mod golden;
mod live;
mod openapi;
mod paging;
mod queries;
mod read_your_write;
mod slow_client;
mod standby;
mod support;
