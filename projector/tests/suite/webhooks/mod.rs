//! Webhooks: real projectors send to a real receiver.

mod clock;
mod command;
mod connections;
mod failing;
mod leases;
mod plans;
mod processes;
mod receiver;
mod requests;
mod sending;
mod support;
