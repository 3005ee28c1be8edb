//! The command line: `projector` runs the workers, `projector parked` handles parked events, `projector log` the event
//! log, and `projector subscriptions` its listeners.

mod log;
mod parked;
mod print;
mod subscriptions;
mod webhooks;

use anyhow::Result;
use clap::{Parser, Subcommand};
use service_kit::config::Vars;
use service_kit::database::DatabaseConfig;
use service_kit::process::Report;
use service_kit::shutdown;

use self::log::LogCommand;
use self::parked::ParkedCommand;
use self::subscriptions::SubscriptionsCommand;
use self::webhooks::WebhooksCommand;
use crate::database;
use crate::webhooks::WebhookConfig;
use crate::{Config, Projector, ReadModels};

/// Applies the events of the outbox to the read models. Configured by environment variables: see deploy/README.md.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Apply events until stopped (the default).
    Serve,
    /// List, show, retry or discard events that could not be projected. No process needs to be stopped.
    #[command(subcommand)]
    Parked(ParkedCommand),
    /// Show the event log, or set for how long it keeps events.
    #[command(subcommand)]
    Log(LogCommand),
    /// List, show, pause, resume, rewind, skip or remove subscriptions to the event log.
    #[command(subcommand)]
    Subscriptions(SubscriptionsCommand),
    /// Send events to other systems: add, test, pause or remove webhook endpoints.
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
}

impl Cli {
    /// Where a failure is reported: that of a command is for the person who runs it.
    #[must_use]
    pub fn report(&self) -> Report {
        match self.command {
            None | Some(Command::Serve) => Report::Log,
            Some(_) => Report::Terminal,
        }
    }
}

/// Runs the command, in a program with these read models. It ends quietly when nobody reads its output any more.
pub async fn run(cli: Cli, vars: &Vars, read_models: ReadModels) -> Result<()> {
    match run_command(cli.command.unwrap_or(Command::Serve), vars, read_models).await {
        Err(error) if print::is_closed_pipe(&error) => Ok(()),
        done => done,
    }
}

async fn run_command(command: Command, vars: &Vars, read_models: ReadModels) -> Result<()> {
    match command {
        Command::Serve => {
            let config = Config::from_vars(vars)?;
            let projector = Projector::start(&config, read_models, shutdown::on_signal()?)?;
            Ok(projector.run().await?)
        }
        Command::Parked(command) => {
            let database = database::open(&DatabaseConfig::from_vars(vars)?, "projector parked")?;
            command.run(&database).await
        }
        Command::Log(command) => {
            let database = database::open(&DatabaseConfig::from_vars(vars)?, "projector log")?;
            command.run(&database).await
        }
        Command::Subscriptions(command) => {
            let database = database::open(&DatabaseConfig::from_vars(vars)?, "projector subscriptions")?;
            command.run(&database).await
        }
        Command::Webhooks(command) => {
            let database = database::open(&DatabaseConfig::from_vars(vars)?, "projector webhooks")?;
            command.run(&database, &WebhookConfig::from_vars(vars)?).await
        }
    }
}
