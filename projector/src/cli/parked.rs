//! `projector parked`: what an operator can do with parked events.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use diesel_async::AsyncConnection;
use futures_util::FutureExt;
use service_kit::database::Database;

use super::print::{number_of, print_json, print_line, printable_json};
use crate::parked::operator::{self, Owner, ParkedEvent, Selection};
use crate::subscription;
use crate::subscription::operator::OperatorError;

/// Most characters of a reason on a line of the table.
const SHOWN_REASON: usize = 100;

#[derive(Debug, Subcommand)]
pub(super) enum ParkedCommand {
    /// List parked events by id, one line each, with the reason.
    List(ListArgs),
    /// Show parked events with their payloads.
    Show(SelectionArgs),
    /// Retry parked events now, also those left for an operator. A running projector tries them within about a second.
    /// An event that fails again stays parked, with the new reason.
    Retry(SelectionArgs),
    /// Print parked events with their payloads, then delete them. They will never be projected.
    Discard(SelectionArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print a JSON array of events with their payloads.
    #[arg(long)]
    json: bool,
    /// Most events to list.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// List only events with ids above this one.
    #[arg(long, allow_negative_numbers = true)]
    after: Option<i64>,
    #[command(flatten)]
    owner: OwnerArgs,
}

#[derive(Debug, Args)]
pub(super) struct SelectionArgs {
    /// Ids of parked events.
    #[arg(required_unless_present = "all", conflicts_with = "all", allow_negative_numbers = true)]
    ids: Vec<i64>,
    /// All parked events.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    owner: OwnerArgs,
}

#[derive(Debug, Args)]
struct OwnerArgs {
    /// The parked events of this subscription, instead of those of the outbox.
    #[arg(long, value_name = "NAME")]
    subscription: Option<String>,
}

impl OwnerArgs {
    fn get(&self) -> Owner {
        self.subscription.clone().map_or(Owner::Claim, Owner::Subscription)
    }

    /// A name without a subscription would look like one without parked events.
    async fn check(&self, database: &Database) -> Result<()> {
        let Some(name) = self.subscription.clone() else { return Ok(()) };
        let wanted = name.clone();
        let found =
            database.run(move |c| async move { subscription::operator::find(c, &wanted).await }.boxed());
        if found.await.context("cannot query subscriptions")?.is_none() {
            return Err(anyhow!("--subscription: {}", OperatorError::Unknown(name)));
        }
        Ok(())
    }
}

impl ParkedCommand {
    pub(super) async fn run(self, database: &Database) -> Result<()> {
        self.owner().check(database).await?;
        match self {
            Self::List(args) => list(database, &args).await,
            Self::Show(args) => show(database, &args).await,
            Self::Retry(args) => retry(database, &args).await,
            Self::Discard(args) => discard(database, &args).await,
        }
    }

    fn owner(&self) -> &OwnerArgs {
        match self {
            Self::List(args) => &args.owner,
            Self::Show(args) | Self::Retry(args) | Self::Discard(args) => &args.owner,
        }
    }
}

async fn list(database: &Database, args: &ListArgs) -> Result<()> {
    let (after, limit) = (args.after.unwrap_or(i64::MIN), args.limit);
    // One more than shown, to know whether there are more.
    let owner = args.owner.get();
    let events =
        database.run(move |c| async move { operator::list(c, &owner, after, limit + 1).await }.boxed());
    let mut events = events.await.context("cannot list parked events")?;
    let shown = usize::try_from(limit)?;
    let more = events.len() > shown;
    events.truncate(shown);
    if args.json {
        return print_json(&events);
    }
    print_table(&events)?;
    match events.last() {
        Some(last) if more => print_line(&format!("there are more: --after {}", last.id)),
        None => print_line("no event is parked"),
        Some(_) => Ok(()),
    }
}

async fn show(database: &Database, args: &SelectionArgs) -> Result<()> {
    let (owner, selection) = (args.owner.get(), args.selection());
    let events = database.run(move |c| async move { operator::find(c, &owner, &selection).await }.boxed());
    let events = events.await.context("cannot query parked events")?;
    print_whole(&events, args.json)?;
    require_none(&args.missing_from(&ids(&events)))
}

async fn retry(database: &Database, args: &SelectionArgs) -> Result<()> {
    let (owner, selection) = (args.owner.get(), args.selection());
    let due = database.run(move |c| async move { operator::make_due(c, &owner, &selection).await }.boxed());
    let due: BTreeSet<_> = due.await.context("nothing was changed")?.into_iter().collect();
    let missing = args.missing_from(&due);
    if args.json {
        print_json(&due)?;
    } else if !due.is_empty() || missing.is_empty() {
        print_line(&format!("{} will be retried now", number_of(due.len(), "parked event")))?;
    }
    require_none(&missing)
}

/// Commits only after printing: an event that could not be printed stays parked.
async fn discard(database: &Database, args: &SelectionArgs) -> Result<()> {
    let (owner, selection) = (args.owner.get(), args.selection());
    let mut session = database.session().await.context("nothing was discarded")?;
    let each_statement = session.statement_limit();
    let discarding = session.transaction(async |connection| {
        let mut gone = operator::discard(connection, &owner, &selection).await?;
        gone.sort_unstable_by_key(|event| event.id);
        print_whole(&gone, args.json)?;
        anyhow::Ok(gone)
    });
    let discarded = each_statement.run(discarding).await;
    let gone = discarded
        .context("the outcome is unknown: events may have been discarded")?
        .context("nothing was discarded")?;
    session.give_back();
    let missing = args.missing_from(&ids(&gone));
    if !args.json && (!gone.is_empty() || missing.is_empty()) {
        let verb = if gone.len() == 1 { "was" } else { "were" };
        print_line(&format!("{} {verb} discarded", number_of(gone.len(), "parked event")))?;
    }
    require_none(&missing)
}

impl SelectionArgs {
    fn selection(&self) -> Selection {
        if self.all { Selection::All } else { Selection::Ids(self.ids.clone()) }
    }

    /// The selected ids that are not in `found`.
    fn missing_from(&self, found: &BTreeSet<i64>) -> BTreeSet<i64> {
        self.ids.iter().copied().filter(|id| !found.contains(id)).collect()
    }
}

fn ids(events: &[ParkedEvent]) -> BTreeSet<i64> {
    events.iter().map(|event| event.id).collect()
}

/// Fails if an id was wrong, or its event is no longer parked.
fn require_none(missing: &BTreeSet<i64>) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = missing.iter().map(ToString::to_string).collect();
    bail!("not parked: {}", ids.join(", "))
}

fn print_table(events: &[ParkedEvent]) -> Result<()> {
    events.iter().try_for_each(|event| print_line(&line(event)))
}

fn line(event: &ParkedEvent) -> String {
    let next = event.next_attempt_at.map_or("left for an operator".to_owned(), |at| {
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
        print_line(&format!("{}\n    {}", line(event), printable_json(&event.payload)))?;
    }
    Ok(())
}
