//! The real services together.

mod access_log;
mod authorisation;
mod bad_tokens;
mod canary;
mod descriptors;
mod documents;
mod end_to_end;
mod fair_shares;
mod feed_client;
mod fields;
mod frozen;
mod haproxy;
mod issuer;
mod log_levels;
mod metrics;
mod mixed_versions;
mod nginx;
mod pipelining;
mod proxy;
mod rolling_restart;
mod slow_clients;
mod smuggling;
mod stopping;
mod support;
mod traces;
mod without_tokens;
