//! write-api over HTTP, against a real PostgreSQL.

mod bad_input;
mod competing_writes;
mod failure;
mod golden;
mod group_commit;
mod idempotency;
mod lifecycle;
mod limits;
mod lost_replies;
mod memory;
mod mixed_writers;
mod older_orders;
mod openapi;
mod order_ids;
mod patterns;
mod placing;
mod poolers;
mod process;
mod refused_requests;
mod republish;
mod second_attempt;
mod sessions;
mod support;
mod switchover;
mod writer_contract;
