//! Each request has one line in the log, as `ACCESS_LOG` says.

#![allow(clippy::indexing_slicing, reason = "Indexing a JSON value gives null if there is nothing.")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::tokens::TokenIssuer;
use testkit::wait;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(30);
const SCOPES: &[&str] = &["orders:place", "orders:read:any", "events:read"];
const SUBJECT: &str = r#"a "shop"\of tea"#;

struct Scene {
    client: Client,
    token: String,
    services: Vec<Service>,
    dir: tempfile::TempDir,
    _database: TestDatabase,
}

impl Scene {
    async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let (database, dir) = (TestDatabase::create().await?, tempfile::tempdir()?);
        let issuer = TokenIssuer::new(dir.path())?;
        let binaries = ServiceBinaries::built().await?;
        let variables = issuer.variables();
        let mut variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        variables.extend(settings);
        let mut services = Vec::new();
        for kind in ServiceKind::ALL {
            let (program, url) = (binaries.program(kind), database.url(kind.role()));
            let mut service = Service::start_with(&variables, kind, &program, &url, 0, dir.path())?;
            service.wait_until_ready().await?;
            services.push(service);
        }
        let token = issuer.token(SUBJECT, SCOPES, None)?;
        Ok(Self { client: Client::new(), token, services, dir, _database: database })
    }

    fn service(&self, kind: ServiceKind) -> Result<&Service> {
        self.services.iter().find(|service| service.kind() == kind).context("not started")
    }

    /// With the id `id`.
    fn request(&self, kind: ServiceKind, method: Method, path: &str, id: &str) -> Result<RequestBuilder> {
        let service = self.service(kind)?;
        let request = self.client.request(method, format!("{}{path}", service.url()));
        Ok(request.header("x-request-id", id))
    }

    fn get(&self, kind: ServiceKind, path: &str, id: &str) -> Result<RequestBuilder> {
        self.request(kind, Method::GET, path, id)
    }

    /// The access lines of all services, each with the name of its service.
    fn lines(&self) -> Result<Vec<(&'static str, Value)>> {
        let mut lines = Vec::new();
        for service in &self.services {
            let name = service.kind().name();
            for line in access_lines(&self.dir.path().join(format!("{name}.log")))? {
                lines.push((name, line));
            }
        }
        Ok(lines)
    }

    /// The one line of this request, once it is written.
    async fn line(&self, id: &str) -> Result<(&'static str, Value)> {
        let line = wait::until("the line of a request", LIMIT, async || {
            let mut lines = self.lines().map_err(|error| error.to_string())?;
            lines.retain(|(_, line)| line["request.id"] == id);
            <[_; 1]>::try_from(lines).map_err(|lines| format!("{id}: {lines:?}"))
        });
        let [line] = line.await?;
        Ok(line)
    }

    fn stop(mut self) -> Result<Vec<(&'static str, Value)>> {
        for service in std::mem::take(&mut self.services) {
            ensure!(service.stop()?.success());
        }
        let logs = ServiceKind::ALL.map(|kind| (kind.name(), format!("{}.log", kind.name())));
        let mut lines = Vec::new();
        for (name, log) in logs {
            lines.extend(access_lines(&self.dir.path().join(log))?.into_iter().map(|line| (name, line)));
        }
        Ok(lines)
    }
}

fn access_lines(log: &Path) -> Result<Vec<Value>> {
    let log = fs::read_to_string(log)?;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(lines.filter(|line| line["target"] == "access").collect())
}

/// The line without what differs in each run, if that has the right form.
fn fixed_part(mut line: Value) -> Result<Value> {
    let members = line.as_object_mut().context("no object")?;
    let duration = members.remove("http.server.request.duration").and_then(|seconds| seconds.as_f64());
    ensure!(duration.is_some_and(|seconds| seconds > 0.0 && seconds < 60.0), "{duration:?}");
    let time = members.remove("timestamp").and_then(|time| Some(time.as_str()?.to_owned()));
    ensure!(time.is_some_and(|time| time.ends_with('Z')));
    Ok(line)
}

fn expected(method: &str, route: Option<&str>, status: u16, bytes: usize, id: &str) -> Value {
    let mut line = json!({
        "level": "INFO", "target": "access", "message": "request",
        "http.request.method": method, "http.response.status_code": status, "http.response.body.size": bytes,
        "request.id": id,
    });
    if let Some(route) = route {
        line["http.route"] = route.into();
    }
    line
}

#[tokio::test]
async fn each_request_of_each_service_has_one_line() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let order = json!({"customer_id": "ada", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 5}]});
    let place = scene.request(ServiceKind::WriteApi, Method::POST, "/orders", "placed")?.json(&order);
    let list = "/customers/ada/orders";
    for (request, name, method, route, status, has_token) in [
        (place, "placed", "POST", Some("/orders"), 201, true),
        (
            scene.get(ServiceKind::ReadApi, list, "listed")?,
            "listed",
            "GET",
            Some("/customers/{customer_id}/orders"),
            200,
            true,
        ),
        (scene.get(ServiceKind::Projector, "/events", "fed")?, "fed", "GET", Some("/events"), 200, true),
        (
            scene.get(ServiceKind::ReadApi, list, "unknown")?,
            "unknown",
            "GET",
            Some("/customers/{customer_id}/orders"),
            401,
            false,
        ),
        (scene.get(ServiceKind::ReadApi, "/a/secret/path", "lost")?, "lost", "GET", None, 404, false),
        (
            scene.request(ServiceKind::WriteApi, Method::from_bytes(b"STRANGE")?, "/orders", "strange")?,
            "strange",
            "_OTHER",
            Some("/orders"),
            405,
            true,
        ),
    ] {
        let request = if has_token { request.bearer_auth(&scene.token) } else { request };
        let response = request.send().await?;
        assert_eq!(response.status(), status, "{name}");
        let bytes = response.bytes().await?.len();
        let mut expected = expected(method, route, status, bytes, name);
        if has_token {
            expected["subject"] = r#"a "shop"\\of tea"#.into();
        }
        assert_eq!(fixed_part(scene.line(name).await?.1)?, expected, "{name}");
    }
    let lines = scene.stop()?;
    assert_eq!(lines.len(), 6, "probes have none: {lines:?}");
    Ok(())
}

#[tokio::test]
async fn the_line_of_a_stream_follows_its_end() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let stream = scene.get(ServiceKind::ReadApi, "/customers/ada/orders/stream", "stream")?;
    let mut response = stream.bearer_auth(&scene.token).send().await?.error_for_status()?;
    let (opened, mut received) = (Instant::now(), Vec::new());
    received.extend(response.chunk().await?.context("no part")?);
    let order = json!({"customer_id": "ada", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 5}]});
    let place = scene.request(ServiceKind::WriteApi, Method::POST, "/orders", "placed")?.json(&order);
    place.bearer_auth(&scene.token).send().await?.error_for_status()?;
    while !String::from_utf8_lossy(&received).contains("TEA") {
        received.extend(response.chunk().await?.context("the stream has ended")?);
    }
    let lines = scene.lines()?;
    assert!(lines.iter().all(|(_, line)| line["request.id"] != "stream"), "{lines:?}");
    let open_for = opened.elapsed().as_secs_f64();
    drop(response);
    let (_, line) = scene.line("stream").await?;
    assert_eq!(line["http.response.status_code"], 200);
    let bytes = line["http.response.body.size"].as_u64().context("no size")?;
    assert!(bytes >= received.len().try_into()?, "{line}");
    let duration = line["http.server.request.duration"].as_f64().context("no duration")?;
    assert!(duration >= open_for, "open for {open_for} s: {line}");
    Ok(())
}

#[tokio::test]
async fn a_request_whose_client_goes_away_has_its_line() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let feed = scene.service(ServiceKind::Projector)?;
    let mut client = TcpStream::connect(feed.url().trim_start_matches("http://")).await?;
    let head = format!(
        "GET /events?after=now HTTP/1.1\r\nhost: x\r\nprefer: wait=30\r\nx-request-id: gone\r\n\
         authorization: Bearer {}\r\n\r\n",
        scene.token
    );
    client.write_all(head.as_bytes()).await?;
    wait::until("the request to wait", LIMIT, async || {
        let scrape = scene.client.get(format!("{}/metrics", feed.admin_url())).send().await;
        let text = scrape.map_err(|error| error.to_string())?.text().await.unwrap_or_default();
        if text.contains("\norders_feed_waiting 1\n") { Ok(()) } else { Err(text) }
    })
    .await?;
    client.set_zero_linger()?;
    drop(client);
    let mut expected = expected("GET", Some("/events"), 499, 0, "gone");
    expected["subject"] = r#"a "shop"\\of tea"#.into();
    assert_eq!(fixed_part(scene.line("gone").await?.1)?, expected);
    Ok(())
}

#[tokio::test]
async fn a_request_of_the_operators_page_has_its_line_and_is_measured() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let admin = scene.service(ServiceKind::Projector)?.admin_url();
    let state = scene.client.get(format!("{admin}/operator/state")).header("x-request-id", "page");
    let bytes = state.send().await?.error_for_status()?.bytes().await?.len();
    let expected = expected("GET", Some("/operator/state"), 200, bytes, "page");
    assert_eq!(fixed_part(scene.line("page").await?.1)?, expected);
    let metrics = scene.client.get(format!("{admin}/metrics")).send().await?.text().await?;
    let measured = r#"http_route="/operator/state",http_response_status_code="200"} 1"#;
    assert!(metrics.contains(measured), "{metrics}");
    assert!(!metrics.contains(r#"http_route="/metrics""#) && !metrics.contains(r#"http_route="/readyz""#));
    Ok(())
}

#[tokio::test]
async fn only_errors_or_no_requests_have_lines_if_wanted_and_probes_at_debug() -> Result<()> {
    for (setting, expected) in [("errors", &["refused"][..]), ("off", &[])] {
        let scene = Scene::start(&[("ACCESS_LOG", setting), ("RUST_LOG", "debug")]).await?;
        let get = |id| scene.get(ServiceKind::ReadApi, "/customers/ada/orders", id);
        assert_eq!(get("good")?.bearer_auth(&scene.token).send().await?.status(), 200);
        assert_eq!(get("refused")?.send().await?.status(), 401);
        let lines = scene.stop()?;
        let (probes, requests): (Vec<_>, Vec<_>) =
            lines.iter().partition(|(_, line)| line["level"] == "DEBUG");
        let ids: Vec<_> = requests.iter().map(|(_, line)| &line["request.id"]).collect();
        assert_eq!(ids, expected, "{setting}");
        // Those of the test that waited until each was ready.
        for kind in ServiceKind::ALL {
            let is_probe = |line: &Value| line["http.route"] == "/readyz";
            assert!(probes.iter().any(|(name, line)| *name == kind.name() && is_probe(line)), "{probes:?}");
        }
    }
    Ok(())
}
