//! `projector parked`: what an operator can do with events that could not be projected.

use std::collections::BTreeSet;
use std::io::{self, Write};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use diesel_async::AsyncConnection;
use futures_util::FutureExt;
use service_kit::database::Database;

use crate::parked::operator::{self as parked_events, ParkedEvent, Which};

/// Most characters of a reason that a line of the table shows.
const SHOWN_REASON: usize = 100;

#[derive(Debug, Subcommand)]
pub(super) enum ParkedCommand {
    /// List parked events by id, one line each, with the reason.
    List(ListArgs),
    /// Show parked events whole.
    Show(WhichArgs),
    /// Have parked events tried again now, also those that were given up. A running projector takes them up within a second
    /// or so; one that fails again stays, with the new reason.
    Retry(WhichArgs),
    /// Remove parked events for good, once they have been printed whole. What they say will not be projected.
    Discard(WhichArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print a JSON array of whole events.
    #[arg(long)]
    json: bool,
    /// Most events to list.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// List only events with ids after this one.
    #[arg(long, allow_negative_numbers = true)]
    after: Option<i64>,
}

#[derive(Debug, Args)]
pub(super) struct WhichArgs {
    /// Ids of parked events.
    #[arg(required_unless_present = "all", conflicts_with = "all", allow_negative_numbers = true)]
    ids: Vec<i64>,
    /// All parked events.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ParkedCommand {
    pub(super) async fn run(self, database: &Database) -> Result<()> {
        match self {
            Self::List(args) => list(database, &args).await,
            Self::Show(args) => show(database, &args).await,
            Self::Retry(args) => retry(database, &args).await,
            Self::Discard(args) => discard(database, &args).await,
        }
    }
}

async fn list(database: &Database, args: &ListArgs) -> Result<()> {
    let (after, limit) = (args.after.unwrap_or(i64::MIN), args.limit);
    // One more tells whether there are more.
    let events = database.run(move |c| parked_events::list(c, after, limit + 1).boxed());
    let mut events = events.await.context("cannot list parked events")?;
    let shown = usize::try_from(limit)?;
    let more = events.len() > shown;
    events.truncate(shown);
    if args.json {
        return print_json(&events);
    }
    print_table(&events)?;
    match events.last() {
        Some(last) if more => say(&format!("there are more: --after {}", last.id)),
        None => say("no event is parked"),
        Some(_) => Ok(()),
    }
}

async fn show(database: &Database, args: &WhichArgs) -> Result<()> {
    let which = args.which();
    let events = database.run(move |c| async move { parked_events::find(c, &which).await }.boxed());
    let events = events.await.context("cannot look for parked events")?;
    print_whole(&events, args.json)?;
    require_none(&args.without(&ids(&events)))
}

async fn retry(database: &Database, args: &WhichArgs) -> Result<()> {
    let which = args.which();
    let due = database.run(move |c| async move { parked_events::make_due(c, &which).await }.boxed());
    let due: BTreeSet<_> = due.await.context("nothing was changed")?.into_iter().collect();
    if args.json {
        print_json(&due)?;
    } else {
        say(&format!("{} parked events are due to be tried again now", due.len()))?;
    }
    require_none(&args.without(&due))
}

/// Commits only what has been printed: an event that could not be shown, or that nobody read, is still there.
async fn discard(database: &Database, args: &WhichArgs) -> Result<()> {
    let which = args.which();
    let mut session = database.session().await.context("nothing was discarded")?;
    let each_statement = session.statement_limit();
    let discarding = session.transaction(async |connection| {
        let mut gone = parked_events::discard(connection, &which).await?;
        gone.sort_unstable_by_key(|event| event.id);
        print_whole(&gone, args.json)?;
        anyhow::Ok(gone)
    });
    let discarded = each_statement.run(discarding).await;
    let gone = discarded
        .context("it is not known whether anything was discarded")?
        .context("nothing was discarded")?;
    session.give_back();
    if !args.json {
        say(&format!("{} parked events were discarded", gone.len()))?;
    }
    require_none(&args.without(&ids(&gone)))
}

impl WhichArgs {
    fn which(&self) -> Which {
        if self.all { Which::All } else { Which::Ids(self.ids.clone()) }
    }

    /// The ids that were asked for and are not among `found`.
    fn without(&self, found: &BTreeSet<i64>) -> BTreeSet<i64> {
        self.ids.iter().copied().filter(|id| !found.contains(id)).collect()
    }
}

fn ids(events: &[ParkedEvent]) -> BTreeSet<i64> {
    events.iter().map(|event| event.id).collect()
}

/// The exit status tells where an id was wrong, or its event has been settled meanwhile.
fn require_none(missing: &BTreeSet<i64>) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = missing.iter().map(ToString::to_string).collect();
    bail!("not parked: {}", ids.join(", "))
}

fn print_table(events: &[ParkedEvent]) -> Result<()> {
    events.iter().try_for_each(|event| say(&line(event)))
}

fn line(event: &ParkedEvent) -> String {
    let next = event.next_attempt_at.map_or("waits for an operator".to_owned(), |at| {
        format!("next attempt {}", at.clamped().format("%Y-%m-%d %H:%M:%S UTC"))
    });
    let mut reason: String = event.error.chars().take(SHOWN_REASON).collect();
    if reason.len() < event.error.len() {
        reason.push('…');
    }
    let (id, kind, attempts) = (event.id, event.kind.escape_debug(), event.attempts);
    format!("{id}  {kind}  attempts {attempts}, {next}: {reason}")
}

fn print_whole(events: &[ParkedEvent], as_json: bool) -> Result<()> {
    if as_json {
        return print_json(&events);
    }
    for event in events {
        say(&format!("{}\n    {}", line(event), event.payload.escape_debug()))?;
    }
    Ok(())
}

fn print_json(what: &impl serde::Serialize) -> Result<()> {
    say(&serde_json::to_string_pretty(what)?)
}

/// A line on the standard output. A reader that has gone away, such as `head`, is reported like any other failure.
fn say(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}
