//! The commands of `docs/runbook.md`, run on a system in which the fault was made.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::wait;

use crate::repository;

const LIMIT: Duration = Duration::from_secs(30);
const LOOK: &str = "first look";
const REMEDY: &str = "the remedy";
const WORKED: &str = "shows";

/// The commands of a part of the section about an alert.
fn commands(alert: &str, part: &str) -> Result<String> {
    let document = std::fs::read_to_string(repository("docs/runbook.md"))?;
    let (_, section) = document.split_once(&format!("\n### {alert}\n")).context("no section")?;
    let section = section.split("\n### ").next().unwrap_or_default();
    let (_, block) = section.split_once(&format!("```sh norun: {part}")).context("no block")?;
    let block = block.split("\n```").next().unwrap_or_default();
    Ok(block.split_once('\n').context("an empty block")?.1.to_owned())
}

struct Scene {
    binaries: &'static ServiceBinaries,
    database: TestDatabase,
    logs: tempfile::TempDir,
}

impl Scene {
    async fn start() -> Result<Self> {
        let binaries = ServiceBinaries::built().await?;
        Ok(Self { binaries, database: TestDatabase::create().await?, logs: tempfile::tempdir()? })
    }

    async fn service(&self, kind: ServiceKind) -> Result<Service> {
        let (program, url) = (self.binaries.program(kind), self.database.url(kind.role()));
        let variables = [("PARKED_ATTEMPTS", "1")];
        let mut service = Service::start_with(&variables, kind, &program, &url, 0, self.logs.path())?;
        service.wait_until_ready().await?;
        Ok(service)
    }

    /// Stores an order, and so an event.
    async fn place(&self) -> Result<()> {
        let write = self.service(ServiceKind::WriteApi).await?;
        let order = json!({"customer_id": "ada", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 5}]});
        let placed = reqwest::Client::new().post(format!("{}/orders", write.url())).json(&order).send();
        placed.await?.error_for_status()?;
        Ok(())
    }

    async fn run(&self, commands: &str, projector: &str) -> Result<String> {
        let program = self.binaries.program(ServiceKind::Projector);
        let dir = program.parent().context("no directory")?.display().to_string();
        let path = format!("{dir}:{}", std::env::var("PATH")?);
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", commands]).env("PATH", path).env("PROJECTOR", projector).env("RUST_LOG", "off");
        shell.env("DATABASE_URL", self.database.url("orders_projector"));
        shell.env("ADMIN_URL", self.database.superuser_url()).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(LIMIT, shell.output()).await??;
        Ok(String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?)
    }

    /// Waits until the commands print all of this.
    async fn shows(&self, commands: &str, projector: &str, expected: &[&str]) -> Result<String> {
        let shown = wait::until("the output of the commands", LIMIT, async || {
            let printed = self.run(commands, projector).await.map_err(|error| format!("{error:#}"))?;
            if expected.iter().all(|text| printed.contains(text)) { Ok(printed) } else { Err(printed) }
        });
        Ok(shown.await?)
    }
}

#[tokio::test]
async fn parked_events_are_shown_and_retried() -> Result<()> {
    const ALERT: &str = "OrdersParkedEvents";
    let scene = Scene::start().await?;
    scene.place().await?;
    let session = scene.database.connect().await?;
    session.batch_execute("UPDATE outbox SET kind = 'order_gift_wrapped'").await?;
    let projector = scene.service(ServiceKind::Projector).await?;
    let url = projector.admin_url();
    scene.shows(&commands(ALERT, LOOK)?, url, &["order_gift_wrapped", "left for an operator"]).await?;
    // In place of a build that knows the kind.
    session.batch_execute("UPDATE parked_events SET kind = 'order_placed'").await?;
    let said = scene.run(&commands(ALERT, REMEDY)?, url).await?;
    ensure!(said.contains("1 parked event will be retried now"), "{said}");
    scene.shows(&commands(ALERT, WORKED)?, url, &["no event is parked"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_backlog_behind_a_locked_table_is_explained_and_removed() -> Result<()> {
    const ALERT: &str = "OrdersBacklog";
    let scene = Scene::start().await?;
    scene.place().await?;
    let session = scene.database.connect().await?;
    session.batch_execute("BEGIN; LOCK TABLE order_summary").await?;
    let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let program = scene.binaries.program(ServiceKind::Projector);
    // It is not ready while no batch succeeds.
    let url = scene.database.url("orders_projector");
    let projector = Service::start(ServiceKind::Projector, &program, &url, 0, scene.logs.path())?;
    let pid_text = pid.to_string();
    scene.shows(&commands(ALERT, LOOK)?, "", &[&pid_text, "AccessExclusiveLock", "order_summary"]).await?;
    scene.run(&commands(ALERT, REMEDY)?.replace("12345", &pid_text), "").await?;
    drop(projector);
    let projector = scene.service(ServiceKind::Projector).await?;
    let gone = "orders_outbox_backlog_events 0";
    scene.shows(&commands(ALERT, WORKED)?, projector.admin_url(), &[gone]).await?;
    Ok(())
}

#[tokio::test]
async fn a_long_transaction_is_found_and_ended() -> Result<()> {
    const ALERT: &str = "OrdersOldestTransaction";
    let scene = Scene::start().await?;
    let session = scene.database.connect().await?;
    session.batch_execute("BEGIN; SELECT count(*) FROM order_summary").await?;
    let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    scene.shows(&commands(ALERT, LOOK)?, "", &[&pid.to_string(), "idle in transaction"]).await?;
    let remedy = commands(ALERT, REMEDY)?;
    ensure!(remedy.contains("10 minutes"), "{remedy}");
    scene.run(&remedy.replace("10 minutes", "0 minutes"), "").await?;
    wait::until("the end of the session", LIMIT, async || {
        if session.is_closed() { Ok(()) } else { Err("it is open") }
    })
    .await?;
    Ok(())
}
