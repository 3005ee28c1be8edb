//! `projector webhooks`: where events are sent, and what became of them.

mod given_secret;
mod print;
mod send_test;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use futures_util::FutureExt;
use serde_json::json;
use service_kit::database::Database;

use self::given_secret::{Chosen, SecretArgs};
use super::print::{print_json, print_line};
use crate::webhooks::WebhookConfig;
use crate::webhooks::endpoint::{ENDPOINTS_MAX, Kinds, parse_url};
use crate::webhooks::operator::{self, Added};

#[derive(Debug, Subcommand)]
pub(super) enum WebhooksCommand {
    /// Send events to a URL from now on. Prints the secret with which they are signed, if it is a new one; it is
    /// never shown again.
    Add(AddArgs),
    /// List the endpoints, one line each.
    List(ListArgs),
    /// Show an endpoint with its last attempts.
    Show(ShowArgs),
    /// Send nothing more to an endpoint. Events wait for it.
    Pause(EndpointArgs),
    /// Send again, first what waits.
    Resume(EndpointArgs),
    /// Send a signed test message now, and report the status and the latency.
    Test(EndpointArgs),
    /// Sign with another secret, which is printed if it is a new one, and for a time with the previous one too.
    RotateSecret(RotateArgs),
    /// Remove an endpoint for good, with all that waits for it.
    Remove(EndpointArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Where events are sent: an https URL of up to 2048 bytes, without user name, password and fragment.
    #[arg(long)]
    url: String,
    /// A kind of event to send, such as `order_paid`; repeat it for more. All but `order_republished` by default.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print a JSON array of endpoints.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The id of the endpoint.
    id: i64,
    /// Most attempts to show.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..=1_000))]
    attempts: i64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct EndpointArgs {
    /// The id of the endpoint.
    id: i64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// The id of the endpoint.
    id: i64,
    /// For how many hours messages carry a signature of the previous secret too.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(i64).range(0..=720))]
    keep_previous_hours: i64,
    #[command(flatten)]
    secret: SecretArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl WebhooksCommand {
    pub(super) async fn run(self, database: &Database, config: &WebhookConfig) -> Result<()> {
        match self {
            Self::Add(args) => add(database, config, args).await,
            Self::List(args) => list(database, &args).await,
            Self::Show(args) => show(database, &args).await,
            Self::Pause(args) => {
                let id = args.id;
                let done = database.run(move |connection| operator::pause(connection, id).boxed());
                args.report(done.await.context("the endpoint was not paused")?, "paused; events wait for it")
            }
            Self::Resume(args) => {
                let id = args.id;
                let done = database.run(move |connection| operator::resume(connection, id).boxed());
                args.report(done.await.context("the endpoint was not resumed")?, "resumed")
            }
            Self::Test(args) => send_test::run(database, config, args.id, args.json).await,
            Self::RotateSecret(args) => rotate_secret(database, &args).await,
            Self::Remove(args) => {
                let id = args.id;
                let removed = database.run(move |connection| operator::remove(connection, id).boxed());
                let removed = removed.await.context("the endpoint was not removed")?;
                args.report(removed.is_some(), "removed, with all that waited for it")
            }
        }
    }
}

impl EndpointArgs {
    fn report(&self, is_done: bool, what: &str) -> Result<()> {
        if !is_done {
            return Err(unknown(self.id));
        }
        if self.json {
            print_json(&json!({ "id": self.id }))
        } else {
            print_line(&format!("{} {what}", self.id))
        }
    }
}

fn unknown(id: i64) -> anyhow::Error {
    anyhow!("there is no webhook endpoint {id}: see `projector webhooks list`")
}

async fn add(database: &Database, config: &WebhookConfig, args: AddArgs) -> Result<()> {
    let url = parse_url(&args.url, config.allow_private).map_err(|error| anyhow!("--url {error}"))?;
    let kinds = Kinds::new(args.kinds).map_err(|error| anyhow!("--kind {error}"))?;
    let Chosen { secret, new_text } = args.secret.choose()?;
    let added = database
        .run(move |connection| async move { operator::add(connection, &url, &kinds, &secret).await }.boxed());
    let id = match added.await.context("the endpoint was not added")? {
        Added::Endpoint(id) => id,
        Added::TooMany => bail!("there are {ENDPOINTS_MAX} endpoints, which is the limit: remove one first"),
        Added::NotLogged => {
            bail!("events are not logged: set for how many days with `projector log retention`")
        }
    };
    match new_text {
        None if args.json => print_json(&json!({ "id": id })),
        None => print_line(&format!("{id} added, with the secret that was given")),
        Some(text) if args.json => print_new(id, &text),
        Some(text) => print_line(&format!("{id} added; its secret, which is not shown again:\n{text}"))
            .with_context(|| secret_lost(id)),
    }
}

async fn list(database: &Database, args: &ListArgs) -> Result<()> {
    let endpoints = database.run(|connection| operator::list(connection, None).boxed());
    let endpoints = endpoints.await.context("cannot list webhook endpoints")?;
    if args.json {
        return print_json(&endpoints);
    }
    if endpoints.is_empty() {
        return print_line("there is no webhook endpoint");
    }
    endpoints.iter().try_for_each(|endpoint| print_line(&print::line(endpoint)))
}

async fn show(database: &Database, args: &ShowArgs) -> Result<()> {
    let (id, limit) = (args.id, args.attempts);
    let endpoints = database.run(move |connection| operator::list(connection, Some(id)).boxed());
    let endpoints = endpoints.await.context("cannot show the endpoint")?;
    let endpoint = endpoints.first().ok_or_else(|| unknown(id))?;
    let attempts = database.run(move |connection| operator::last_attempts(connection, id, limit).boxed());
    let attempts = attempts.await.context("cannot show the attempts")?;
    if args.json {
        return print_json(&json!({ "endpoint": endpoint, "attempts": attempts }));
    }
    print_line(&print::line(endpoint))?;
    attempts.iter().try_for_each(|attempt| print_line(&print::attempt(attempt)))
}

async fn rotate_secret(database: &Database, args: &RotateArgs) -> Result<()> {
    let (id, hours) = (args.id, args.keep_previous_hours);
    let Chosen { secret, new_text } = args.secret.choose()?;
    let rotated = database.run(move |connection| {
        async move { operator::rotate_secret(connection, id, &secret, hours).await }.boxed()
    });
    if !rotated.await.context("the secret was not replaced")? {
        return Err(unknown(id));
    }
    let both = format!("the previous one signs too for {hours} hours");
    match new_text {
        None if args.json => print_json(&json!({ "id": id })),
        None => print_line(&format!("the secret of {id} is now the one that was given; {both}")),
        Some(text) if args.json => print_new(id, &text),
        Some(text) => {
            print_line(&format!("the new secret of {id}, which is not shown again; {both}:\n{text}"))
                .with_context(|| secret_lost(id))
        }
    }
}

fn print_new(id: i64, secret: &str) -> Result<()> {
    print_json(&json!({ "id": id, "secret": secret })).with_context(|| secret_lost(id))
}

fn secret_lost(id: i64) -> String {
    format!(
        "the secret of {id} could not be printed: replace it with `projector webhooks rotate-secret {id}`"
    )
}
