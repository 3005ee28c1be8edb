//! The commands of `docs/runbook.md`, run in real systems in which the fault was made. Prometheus scrapes these: the
//! alert's own expression is true while there is the fault, and neither before it nor after the remedy.

mod alert;
mod background;
mod database;
mod events;
mod label_values;
mod receiver;
mod scene;
mod webhooks;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::curl::has_curl;

use self::scene::Scene;
use crate::repository;

const LIMIT: Duration = Duration::from_secs(30);
const LOOK: &str = "first look";
const REMEDY: &str = "the remedy";
const WORKED: &str = "shows";

/// The section about an alert.
fn section(alert: &str) -> Result<String> {
    let document = std::fs::read_to_string(repository("docs/runbook.md"))?;
    let (_, section) = document.split_once(&format!("\n### {alert}\n")).context("no section")?;
    Ok(section.split("\n### ").next().unwrap_or_default().to_owned())
}

/// The commands of a part of the section about an alert.
fn commands(alert: &str, part: &str) -> Result<String> {
    let section = section(alert)?;
    let (_, block) = section.split_once(&format!("```sh norun: {part}")).context("no block")?;
    let block = block.split("\n```").next().unwrap_or_default();
    Ok(block.split_once('\n').context("an empty block")?.1.to_owned())
}

/// The commands, with what the first look has shown in place of the example.
fn commands_with(alert: &str, part: &str, example: &str, shown: &str) -> Result<String> {
    let commands = commands(alert, part)?;
    ensure!(commands.contains(example), "no {example} in {commands}");
    Ok(commands.replace(example, shown))
}

/// One system for faults that pass without a trace.
#[tokio::test]
async fn faults_of_the_projector_and_of_receivers_are_shown_and_remedied() -> Result<()> {
    if !has_curl()? {
        return Ok(());
    }
    let mut scene = Scene::start().await?;
    events::a_backlog_behind_a_locked_table(&scene).await.context("a backlog")?;
    events::an_event_behind_a_locked_row(&scene).await.context("a waiting event")?;
    events::parked_events(&scene).await.context("parked events")?;
    events::the_projector_is_down(&mut scene).await.context("the projector is down")?;
    webhooks::an_endpoint_is_dead(&scene).await.context("a dead endpoint")?;
    Ok(())
}

/// A system of its own: these faults concern the whole server.
#[tokio::test]
async fn faults_of_the_database_are_shown_and_remedied() -> Result<()> {
    if !has_curl()? {
        return Ok(());
    }
    let scene = Scene::start().await?;
    database::a_long_transaction(&scene).await.context("a long transaction")?;
    database::too_few_connections_for_a_role(&scene).await.context("a limit of connections")?;
    database::read_only_by_a_setting(&scene).await.context("a read-only server")?;
    label_values::rules_and_dashboard_match_values_that_occur(&scene).await.context("values of labels")?;
    database::a_standby(scene).await.context("a standby")?;
    Ok(())
}
