//! `projector subscriptions`: what an operator can do with subscriptions.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;

use super::print::{number_of, print_json, print_line};
use crate::subscription::operator::{
    self, ChangeError, Moved, OperatorError, Skipped, SubscriptionStatus, To,
};

/// Most subscriptions in a list.
const LIST_MAX: i64 = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum SubscriptionsCommand {
    /// List all subscriptions by name, one line each.
    List(ListArgs),
    /// Show one subscription.
    Show(NameArgs),
    /// Stop a subscription. It keeps its checkpoint, and loses events only if the log drops them meanwhile.
    /// That of a webhook endpoint is not paused: see `projector webhooks pause`.
    Pause(NameArgs),
    /// Let a subscription go on. One that waits after a failure tries again at once.
    Resume(NameArgs),
    /// Read events again. A read model that adds up counts them twice unless it remembers what it has counted. A
    /// webhook endpoint is sent them again, with the same ids.
    Rewind(RewindArgs),
    /// Leave out events: the next one, which is parked; or, if the subscription is lost, those that are missing. If it
    /// is lost because its checkpoint is not of this database, --to says where it goes on. A webhook endpoint is never
    /// sent what was left out, unless it was parked and is retried.
    Skip(SkipArgs),
    /// Remove a paused or lost subscription that no program uses. One that does creates it again when it starts.
    /// That of a webhook endpoint is removed with it: see `projector webhooks remove`.
    Remove(NameArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct NameArgs {
    /// The subscription.
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RewindArgs {
    /// The subscription.
    name: String,
    /// Events after this position follow; or `start`: all from the first complete position on, see `projector log
    /// show`.
    #[arg(long, value_name = "POSITION|start|now")]
    to: To,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SkipArgs {
    /// The subscription.
    name: String,
    /// Leave out all events up to this position; or `now`: all that the log has, in front
    /// of a hole that may still be filled. They are not parked.
    #[arg(long, value_name = "POSITION|start|now")]
    to: Option<To>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl SubscriptionsCommand {
    pub(super) async fn run(self, database: &Database) -> Result<()> {
        match self {
            Self::List(args) => list(database, args.json).await,
            Self::Show(args) => show(database, &args.name, args.json).await,
            Self::Pause(NameArgs { name, json }) => {
                change(database, &name, |c, name| operator::pause(c, name).boxed()).await?;
                show(database, &name, json).await
            }
            Self::Resume(NameArgs { name, json }) => {
                change(database, &name, |c, name| operator::resume(c, name).boxed()).await?;
                show(database, &name, json).await
            }
            Self::Rewind(RewindArgs { name, to, json }) => {
                let moved =
                    change(database, &name, move |c, name| operator::rewind(c, name, to).boxed()).await?;
                if !json {
                    print_line(&rewound(moved))?;
                }
                show(database, &name, json).await
            }
            Self::Skip(args) => skip(database, &args).await,
            Self::Remove(NameArgs { name, json }) => {
                change(database, &name, |c, name| operator::remove(c, name).boxed()).await?;
                if json { print_json(&serde_json::json!({ "removed": name })) } else { print_line("removed") }
            }
        }
    }
}

async fn list(database: &Database, as_json: bool) -> Result<()> {
    let subscriptions = database.run(|c| operator::list(c, "", LIST_MAX).boxed()).await;
    let subscriptions = subscriptions.context("cannot list subscriptions")?;
    if as_json {
        return print_json(&subscriptions);
    }
    if subscriptions.is_empty() {
        return print_line("there is no subscription");
    }
    subscriptions.iter().try_for_each(|status| print_line(&line(status)))
}

async fn show(database: &Database, name: &str, as_json: bool) -> Result<()> {
    let wanted = name.to_owned();
    let found = database.run(move |c| async move { operator::find(c, &wanted).await }.boxed()).await;
    let found = found.context("cannot query subscriptions")?;
    let status = found.ok_or_else(|| OperatorError::Unknown(name.to_owned()))?;
    if as_json { print_json(&status) } else { print_line(&line(&status)) }
}

async fn skip(database: &Database, args: &SkipArgs) -> Result<()> {
    let SkipArgs { name, to, json } = args;
    let text = if let Some(to) = *to {
        let moved = change(database, name, move |c, name| operator::skip_to(c, name, to).boxed()).await?;
        skipped_to(moved)
    } else {
        match change(database, name, |c, name| operator::skip_next(c, name).boxed()).await? {
            Skipped::Missing(moved) => {
                format!("goes on after position {}; events after {} may be missing", moved.to, moved.from)
            }
            Skipped::Event { id, event } => format!(
                "left out {} at position {}; it is parked: projector parked show --subscription {name} {id}",
                event.kind.escape_debug(),
                event.position
            ),
        }
    };
    if !json {
        print_line(&text)?;
    }
    show(database, name, *json).await
}

/// Runs `work` with the name of a subscription, in a transaction.
async fn change<T: Send>(
    database: &Database,
    name: &str,
    work: impl for<'c> FnOnce(&'c mut AsyncPgConnection, &'c str) -> BoxFuture<'c, Result<T, OperatorError>>
    + Send,
) -> Result<T> {
    match operator::change(database, name, work).await {
        Err(ChangeError::NoConnection(error)) => Err(error).context("nothing was changed"),
        Err(ChangeError::NoAnswer(error)) => {
            Err(error).context("the outcome is unknown: the subscription may have been changed")
        }
        Err(ChangeError::Refused(OperatorError::Database(error))) => {
            Err(error).context("nothing was changed")
        }
        Err(ChangeError::Refused(error)) => Err(error.into()),
        Ok(done) => Ok(done),
    }
}

fn rewound(moved: Moved) -> String {
    let Moved { from, to, .. } = moved;
    format!("reads the events after position {to}, up to {from}, again{}", parked_removed(moved))
}

fn skipped_to(moved: Moved) -> String {
    let Moved { from, to, .. } = moved;
    if to > from {
        return format!("left out the events after position {from}, up to {to}");
    }
    format!("goes on after position {to}; its checkpoint was {from}{}", parked_removed(moved))
}

fn parked_removed(moved: Moved) -> String {
    match moved.parked_removed {
        0 => String::new(),
        1 => "; 1 parked event among them was removed".to_owned(),
        events => format!("; {} among them were removed", number_of(events, "parked event")),
    }
}

fn line(status: &SubscriptionStatus) -> String {
    let SubscriptionStatus { name, state, checkpoint, lag_events, .. } = status;
    let age = status.lag_seconds.map_or(String::new(), |seconds| format!(" ({seconds:.1} s)"));
    let parked = match (status.parked_retrying, status.parked_left_for_operator) {
        (0, 0) => String::new(),
        (retrying, left) => format!(", parked: {retrying} retrying, {left} left for an operator"),
    };
    let next = status.next_attempt_at.clamped().format("%Y-%m-%d %H:%M:%S UTC");
    let failures = match status.failures {
        0 => String::new(),
        failures => format!(", failures {failures}, next attempt {next}"),
    };
    let error =
        status.last_error.as_deref().map_or(String::new(), |error| format!(": {}", error.escape_debug()));
    let name = name.escape_debug();
    format!(
        "{name}  {state}  position {checkpoint}, {lag_events} events behind{age}{parked}{failures}{error}"
    )
}
