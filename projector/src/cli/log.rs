//! `projector log`: how much the event log has, and for how long it keeps events.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use futures_util::FutureExt;
use service_kit::database::Database;

use super::print::{print_json, print_line};
use crate::event_log::operator::{self, LogState};

/// How long switching the log on or off is tried.
const SWITCH_LIMIT: Duration = Duration::from_secs(10);
const SWITCH_PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Show which positions the log has, and for how many days it keeps events.
    Show(ShowArgs),
    /// Set for how many days the log keeps events, in all processes.
    Retention(RetentionArgs),
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RetentionArgs {
    /// From 0 to 90. With 0, events are not logged, all subscriptions are lost, and what was logged before is out of
    /// their reach for good.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=90))]
    days: u8,
    /// Print the new state as JSON.
    #[arg(long)]
    json: bool,
}

impl LogCommand {
    pub(super) async fn run(self, database: &Database) -> Result<()> {
        match self {
            Self::Show(args) => show(database, args.json).await,
            Self::Retention(args) => {
                set_retention(database, args.days).await.context("the retention was not changed")?;
                show(database, args.json).await
            }
        }
    }
}

async fn show(database: &Database, as_json: bool) -> Result<()> {
    let state = database.run(|connection| operator::state(connection).boxed()).await;
    let state = state.context("cannot query the event log")?;
    if as_json { print_json(&state) } else { print_line(&lines(&state)) }
}

fn lines(state: &LogState) -> String {
    let position =
        |position: Option<i64>| position.map_or("none".to_owned(), |position| position.to_string());
    let (oldest, newest) = (position(state.oldest), position(state.newest));
    match (state.retention_days, state.missing_up_to) {
        (days, Some(missing)) if days > 0 => format!(
            "kept for {days} days\noldest position {oldest}, newest {newest}\n\
            complete after position {missing}, where listeners can start"
        ),
        _ => format!("off: events are not logged\noldest position {oldest}, newest {newest}"),
    }
}

/// Tries again while another session holds a lock.
async fn set_retention(database: &Database, days: u8) -> Result<()> {
    let start = Instant::now();
    loop {
        let set = database.run(move |connection| operator::set_retention(connection, days).boxed()).await;
        match set {
            Ok(()) => return Ok(()),
            Err(error) if start.elapsed() > SWITCH_LIMIT => return Err(error.into()),
            Err(_) => tokio::time::sleep(SWITCH_PAUSE).await,
        }
    }
}
