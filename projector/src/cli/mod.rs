//! The command line: `projector` serves, `projector parked` shows and settles what could not be projected.

mod parked;

use anyhow::Result;
use clap::{Parser, Subcommand};
use service_kit::config::Vars;
use service_kit::database::DatabaseConfig;
use service_kit::shutdown;

use self::parked::ParkedCommand;
use crate::database;
use crate::{Config, Projector};

/// Drains the outbox into the read models. Everything else is configured by the environment: see the README.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Drain the outbox (the default).
    Serve,
    /// See and settle events that could not be projected. Everything may go on running.
    #[command(subcommand)]
    Parked(ParkedCommand),
}

/// Does what the command line says.
///
/// # Errors
///
/// Whatever ended it early.
pub async fn run(cli: Cli, vars: &Vars) -> Result<()> {
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            let config = Config::from_vars(vars)?;
            let projector = Projector::start(&config, crate::projections(), shutdown::on_signal()?)?;
            Ok(projector.run().await?)
        }
        Command::Parked(command) => {
            let database = database::open(&DatabaseConfig::from_vars(vars)?, "projector parked")?;
            command.run(&database).await
        }
    }
}
