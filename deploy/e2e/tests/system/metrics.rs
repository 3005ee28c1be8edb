//! docs/metrics.md lists the metrics of the real processes, Prometheus' own tool accepts them, and callers add none.

mod dashboard;
mod fresh;
mod scrape;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::{Client, Method, StatusCode};
use serde_json::json;
use testkit::database::add_examples;
use testkit::services::{Operator, Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::tokens::TokenIssuer;
use testkit::wait;

use self::scrape::{Family, parse};

const LIMIT: Duration = Duration::from_secs(30);
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
const TABLE_BEGINS: &str = "| Metric | Type | Labels | Processes | What it says |";

/// The projector with a read model that is a subscription, so that all its metrics have series.
const PROCESSES: [(ServiceKind, &str); 3] = [
    (ServiceKind::WriteApi, "write-api"),
    (ServiceKind::RevenueProjector, "projector"),
    (ServiceKind::ReadApi, "read-api"),
];

struct Scene {
    client: Client,
    issuer: TokenIssuer,
    services: Vec<(Service, &'static str)>,
    database: TestDatabase,
    _dir: tempfile::TempDir,
}

impl Scene {
    async fn start(variables: fn(&TokenIssuer) -> Vec<(String, String)>) -> Result<Self> {
        let binaries = ServiceBinaries::build_all(&PROCESSES.map(|(kind, _)| kind)).await?;
        let (database, dir) = (TestDatabase::create().await?, tempfile::tempdir()?);
        add_examples(&database.superuser_url()).await?;
        let operator =
            Operator::new(binaries.program(ServiceKind::RevenueProjector), database.url("orders_projector"));
        // Nothing listens there, so that failures are counted too.
        operator.json(&["webhooks", "add", "--url", "https://hooks.example:1/"]).await?;
        let issuer = TokenIssuer::new(dir.path())?;
        let variables = variables(&issuer);
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut services = Vec::new();
        for (kind, name) in PROCESSES {
            let (program, url) = (binaries.program(kind), database.url(kind.role()));
            let mut service = Service::start_with(&variables, kind, &program, &url, 0, dir.path())?;
            service.wait_until_ready().await?;
            services.push((service, name));
        }
        Ok(Self { client: Client::new(), issuer, services, database, _dir: dir })
    }

    /// Places an order, waits until it is projected, and lists it.
    async fn use_everything(&self) -> Result<()> {
        let token = self.issuer.token("shop", &["orders:place", "orders:read:any"], None)?;
        let order = json!({"customer_id": "ada", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 5}]});
        let [(write, _), (projector, _), (read, _)] = self.services.as_slice() else {
            anyhow::bail!("not three services")
        };
        let placed = self.client.post(format!("{}/orders", write.url())).bearer_auth(&token).json(&order);
        placed.send().await?.error_for_status()?;
        let feed = self.client.get(format!("{}/events", projector.url())).send().await?;
        ensure!(feed.status() == StatusCode::UNAUTHORIZED, "{}", feed.status());
        let list = format!("{}/customers/ada/orders", read.url());
        wait::until("the order in the list", LIMIT, async || {
            let response = self.client.get(&list).bearer_auth(&token).send().await;
            let text = response.map_err(|error| error.to_string())?.text().await.unwrap_or_default();
            if text.contains("TEA") { Ok(()) } else { Err(text) }
        })
        .await
        .map_err(Into::into)
    }

    /// A new method, path and token for each process.
    async fn send_what_nobody_expects(&self, name: &str) -> Result<()> {
        let token = format!("eyJhbGciOiJFUzI1NiIsImtpZCI6Imsi.{name}.{name}");
        let paths = ["/orders", "/events", "/customers/ada/orders"];
        for ((service, process), path) in self.services.iter().zip(paths) {
            let method = if *process == "write-api" { Method::POST } else { Method::GET };
            let known = self.client.request(method, format!("{}{path}", service.url()));
            let status = known.bearer_auth(&token).header("x-request-id", name).send().await?.status();
            ensure!(status == StatusCode::UNAUTHORIZED, "{process}: {status}");
            let other = self.issuer.token(name, &["events:read"], None)?;
            let valid = self.client.get(format!("{}/{name}", service.url())).bearer_auth(&other);
            let status = valid.send().await?.status();
            ensure!(status == StatusCode::NOT_FOUND, "{process}: {status}");
            let method = Method::from_bytes(format!("M{name}").as_bytes())?;
            let unknown = self.client.request(method, format!("{}/{name}?{name}={name}", service.url()));
            let status = unknown.bearer_auth(&token).send().await?.status();
            ensure!(status == StatusCode::NOT_FOUND, "{process}: {status}");
        }
        Ok(())
    }

    /// What each process exports now.
    async fn scrape(&self) -> Result<Vec<(&'static str, String)>> {
        let mut scrapes = Vec::new();
        for (service, name) in &self.services {
            let metrics = self.client.get(format!("{}/metrics", service.admin_url())).send().await?;
            scrapes.push((*name, metrics.error_for_status()?.text().await?));
        }
        Ok(scrapes)
    }
}

/// The table of the document, as these scrapes show it.
fn table(scrapes: &[(&'static str, String)]) -> Result<String> {
    let mut families: BTreeMap<String, (Family, Vec<&str>)> = BTreeMap::new();
    for (process, text) in scrapes {
        for (name, family) in parse(text)? {
            let (known, processes) = families.entry(name).or_insert_with(|| (family.clone(), Vec::new()));
            known.labels.extend(family.labels);
            processes.push(process);
        }
    }
    let mut lines = vec![TABLE_BEGINS.to_owned(), "|---|---|---|---|---|".to_owned()];
    for (name, (family, processes)) in families {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let processes =
            if processes.len() == PROCESSES.len() { "all".to_owned() } else { processes.join(", ") };
        let (kind, help) = (family.kind, family.help);
        lines.push(format!("| `{name}` | {kind} | {} | {processes} | {help} |", labels.join(", ")));
    }
    Ok(lines.join("\n"))
}

#[tokio::test]
async fn the_reference_lists_exactly_the_metrics_of_the_real_processes() -> Result<()> {
    let scene = Scene::start(TokenIssuer::variables).await?;
    scene.use_everything().await?;
    let found = table(&scene.scrape().await?)?;
    let document = std::fs::read_to_string(DOCUMENT)?;
    let (intro, rest) = document.split_once(TABLE_BEGINS).context("no table")?;
    let (listed, after) = rest.split_once("\n\n").unwrap_or((rest, ""));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let after = if after.is_empty() { String::new() } else { format!("\n{after}") };
        return Ok(std::fs::write(DOCUMENT, format!("{intro}{found}\n{after}"))?);
    }
    assert_eq!(
        format!("{TABLE_BEGINS}{}", listed.trim_end()),
        found,
        "{DOCUMENT}: UPDATE_GOLDEN=1 writes it"
    );
    Ok(())
}

/// Conventional names, types and units, and a help text for each.
#[tokio::test]
async fn promtool_has_nothing_to_say() -> Result<()> {
    if Command::new("promtool").arg("--version").output().is_err() {
        let missing = "no promtool: install Debian's package `prometheus`";
        ensure!(std::env::var_os("REQUIRE_PROMTOOL").is_none(), missing);
        eprintln!("NOT TESTED, {missing}");
        return Ok(());
    }
    let scene = Scene::start(TokenIssuer::variables).await?;
    scene.use_everything().await?;
    for (process, text) in scene.scrape().await? {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        promtool.stdin.take().context("no input")?.write_all(text.as_bytes())?;
        let output = promtool.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{process}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn no_caller_adds_a_series() -> Result<()> {
    // Nobody is over a share: whether a 429 occurs in the first pass would depend on the machine's speed.
    let scene = Scene::start(TokenIssuer::variables_without_shares).await?;
    scene.use_everything().await?;
    let mut known = None;
    // The first pass adds series: those of 401 and 404, and of other methods.
    for pass in 0..4 {
        let scene = &scene;
        let requests = (0..1_000).map(|number| async move {
            let name = format!("{pass}X{number}");
            scene.send_what_nobody_expects(&name).await
        });
        // A client that waits for each response would take minutes.
        stream::iter(requests).buffer_unordered(4).try_collect::<()>().await?;
        let scrapes = scene.scrape().await?;
        let series: BTreeSet<String> =
            scrapes.iter().flat_map(|(process, text)| series(process, text)).collect();
        let known = known.get_or_insert_with(|| series.clone());
        let added: Vec<_> = series.difference(known).collect();
        ensure!(added.is_empty(), "{added:?}");
    }
    Ok(())
}

/// The series of a scrape, without their values.
fn series(process: &str, text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(format!("{process} {}", line.rsplit_once(' ')?.0))).collect()
}

/// Nothing else reads this file, so a path that is wrong would not be noticed.
#[test]
fn the_document_is_where_readers_look_for_it() {
    assert!(Path::new(DOCUMENT).is_file());
}
