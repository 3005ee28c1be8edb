//! docs/metrics.md lists the metrics of the real processes, Prometheus' own tool accepts them, and callers add none.

mod scrape;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
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
    _database: TestDatabase,
    _dir: tempfile::TempDir,
}

impl Scene {
    async fn start() -> Result<Self> {
        let binaries = ServiceBinaries::build_all(&PROCESSES.map(|(kind, _)| kind)).await?;
        let (database, dir) = (TestDatabase::create().await?, tempfile::tempdir()?);
        add_examples(&database.superuser_url()).await?;
        let operator =
            Operator::new(binaries.program(ServiceKind::RevenueProjector), database.url("orders_projector"));
        // Nothing listens there, so that failures are counted too.
        operator.json(&["webhooks", "add", "--url", "https://hooks.example:1/"]).await?;
        let issuer = TokenIssuer::new(dir.path())?;
        let variables = issuer.variables();
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut services = Vec::new();
        for (kind, name) in PROCESSES {
            let (program, url) = (binaries.program(kind), database.url(kind.role()));
            let mut service = Service::start_with(&variables, kind, &program, &url, 0, dir.path())?;
            service.wait_until_ready().await?;
            services.push((service, name));
        }
        Ok(Self { client: Client::new(), issuer, services, _database: database, _dir: dir })
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
    let scene = Scene::start().await?;
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
    let scene = Scene::start().await?;
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
    let scene = Scene::start().await?;
    scene.use_everything().await?;
    let mut known = None;
    // The first pass adds series: those of 404 and 429 and of other methods.
    for pass in 0..4 {
        for (service, _) in &scene.services {
            for number in 0..1_000 {
                let (name, url) = (format!("M{pass}X{number}"), format!("{}/{pass}/{number}", service.url()));
                let request = scene.client.request(Method::from_bytes(name.as_bytes())?, url);
                let status = request.bearer_auth(format!("a.b.{name}")).send().await?.status();
                ensure!(matches!(status, StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS), "{status}");
            }
        }
        let series: BTreeSet<String> =
            scene.scrape().await?.iter().flat_map(|(process, text)| series(process, text)).collect();
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
