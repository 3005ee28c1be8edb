//! The projector against a real PostgreSQL.
#![expect(clippy::float_cmp, reason = "metrics count whole events, which are compared exactly")]

mod audit;
mod convergence;
mod crash;
mod cycle;
mod deferred;
mod disk_full;
mod event_log;
mod facts;
mod feed;
mod frozen;
mod golden;
mod limits;
mod locked_rows;
mod low_water_mark;
mod metrics;
mod odd_rows;
mod older_projectors;
mod operator_page;
mod operator_page_limits;
mod outage;
mod parked_command;
mod parking;
mod poolers;
mod process;
mod retries;
mod sessions;
mod stories;
mod storm;
mod subscriptions;
mod support;
mod trace_contexts;
mod uncommitted_rows;
mod waiting_events;
mod webhooks;
mod workers;
