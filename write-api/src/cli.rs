//! The command line: `write-api` serves, `write-api republish` repairs.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use service_kit::config::Vars;
use service_kit::database::DatabaseConfig;
use service_kit::process::Report;
use service_kit::shutdown;
use uuid::Uuid;

use crate::Config;
use crate::adapter::postgres::PgRepublishSource;
use crate::command::{CLOCK_MARGIN, Progress, Republish};
use crate::domain::CustomerId;
use crate::port::{OrderFilter, RepublishSource};

/// How often progress is logged if there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// Accepts orders over HTTP. Environment variables configure it; deploy/README.md lists them.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve HTTP (the default).
    Serve,
    /// Write the current state of orders to the outbox again, to repair or fill read models. All services may keep
    /// running.
    Republish(RepublishArgs),
}

#[derive(Debug, Args)]
struct RepublishArgs {
    /// Only the orders of this customer.
    #[arg(long)]
    customer: Option<String>,
    /// Only orders placed or changed at this time (RFC 3339) or later. Starts 24 hours earlier, because a writer's
    /// clock may be slow.
    #[arg(long)]
    since: Option<DateTime<Utc>>,
    /// Only this order.
    #[arg(long)]
    order_id: Option<Uuid>,
    /// Only orders whose id sorts after this one: continue an interrupted run with it.
    #[arg(long)]
    after: Option<Uuid>,
    /// How many orders to scan in one batch.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    batch: i64,
    /// Pause while the outbox holds more events than this.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(0..=10_000_000))]
    max_backlog: i64,
}

impl Cli {
    /// Where a failure is reported: that of a command is for the person who runs it.
    #[must_use]
    pub fn report(&self) -> Report {
        match self.command {
            None | Some(Command::Serve) => Report::Log,
            Some(Command::Republish(_)) => Report::Terminal,
        }
    }
}

/// Runs the command.
///
/// # Errors
///
/// Any error that ended the command early.
pub async fn run(cli: Cli, vars: &Vars) -> Result<()> {
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            let (config, stop) = (Config::from_vars(vars)?, shutdown::on_signal()?);
            // Tasks that end because the process cannot start have not died.
            let server = crate::bind(&config, stop.clone()).inspect_err(|_| stop.cancel())?;
            Ok(server.run().await?)
        }
        Command::Republish(args) => republish(args, &DatabaseConfig::from_vars(vars)?).await,
    }
}

async fn republish(args: RepublishArgs, config: &DatabaseConfig) -> Result<()> {
    let customer = args.customer.map(CustomerId::from_stored).transpose().context("--customer")?;
    let since = args.since.map(|since| since.checked_sub_signed(CLOCK_MARGIN).unwrap_or(since));
    let filter = OrderFilter { customer, since, order_id: args.order_id };
    let command = Republish { filter, after: args.after, batch: args.batch, max_backlog: args.max_backlog };
    let source = PgRepublishSource::new(
        config.clone().with_settings(crate::REPUBLISH_SETTINGS).for_writes().open("write-api republish")?,
    );
    let mut display = ProgressDisplay::start(source.estimate().await?);
    let stop = shutdown::on_signal()?;

    let mut reached = Progress { last: command.after, ..Progress::default() };
    let running = command.run(&source, |progress| {
        reached = *progress;
        display.show(progress);
    });
    let ended = stop.run_until_cancelled(running).await;
    display.finish();
    match ended {
        Some(ended) => {
            let reached = ended?;
            log_progress("republished", &reached);
            ensure!(
                reached.corrupt == 0,
                "{} orders were left out: their rows are not valid orders",
                reached.corrupt
            );
            Ok(())
        }
        // The batch in flight is committed as a whole or not at all. Both are fine: republishing twice is harmless.
        None => match reached.last {
            Some(last) => {
                bail!("interrupted after {} orders; continue with --after {last}", reached.republished)
            }
            None => bail!("interrupted before the first order"),
        },
    }
}

fn log_progress(what: &str, progress: &Progress) {
    tracing::info!(
        orders.republished = progress.republished,
        orders.scanned = progress.scanned,
        order.last = progress.last.map(tracing::field::display),
        "{what}"
    );
}

/// A progress bar on a terminal, a log line from time to time elsewhere.
enum ProgressDisplay {
    Bar(ProgressBar),
    Log(Instant),
}

impl ProgressDisplay {
    fn start(estimate: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Log(Instant::now());
        }
        let bar = ProgressBar::new(estimate);
        let template = "{bar:40} {pos}/~{len} orders, {per_sec}, {eta} left, after {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    fn show(&mut self, progress: &Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(bar.length().unwrap_or(0).max(progress.scanned));
                bar.set_position(progress.scanned);
                bar.set_message(progress.last.map(|last| last.to_string()).unwrap_or_default());
            }
            Self::Log(last) if last.elapsed() >= LOG_EVERY => {
                *last = Instant::now();
                log_progress("republishing", progress);
            }
            Self::Log(_) => {}
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish();
        }
    }
}
