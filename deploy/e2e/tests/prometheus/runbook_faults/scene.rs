//! A system with a server of its own, whose processes Prometheus scrapes, and an operator's shell.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::fault_proxy::FaultProxy;
use testkit::ports;
use testkit::postgres::{Binaries, PrivateServer, ServerOptions, Tuning};
use testkit::prometheus::{MISSING, Prometheus};
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::tokens::TokenIssuer;
use testkit::wait;
use tokio_postgres::{Client, NoTls};

use super::LIMIT;
use super::background::Background;
use crate::repository;

/// So that `/readyz` shows a fault soon.
const GRACE: (&str, &str) = ("READINESS_GRACE_MS", "1000");

/// As in the runbook.
const DATABASE: &str = "orders";

pub(super) struct Scene {
    binaries: &'static ServiceBinaries,
    /// The address of the database for all processes and for operators.
    pub(super) address: FaultProxy,
    /// None once it has crashed.
    pub(super) server: Option<PrivateServer>,
    pub(super) write: Service,
    pub(super) read: Service,
    /// None once it was killed.
    pub(super) projector: Option<Service>,
    /// In its place.
    pub(super) restarted: Option<Background>,
    /// Of each projector: Prometheus knows its address.
    projector_port: u16,
    pub(super) issuer: TokenIssuer,
    pub(super) prometheus: Option<Prometheus>,
    _dir: tempfile::TempDir,
}

pub(super) fn socket(server: &PrivateServer) -> PathBuf {
    server.socket_dir().join(".s.PGSQL.5432")
}

impl Scene {
    pub(super) async fn start() -> Result<Self> {
        let binaries = ServiceBinaries::built().await?;
        let [write_port, read_port, projector_port] = [ports::free()?, ports::free()?, ports::free()?];
        // First of all: it begins to scrape after five seconds.
        let prometheus = scrape([write_port, read_port, projector_port]).await?;
        let server = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
        connect(&server.superuser_url("postgres")).await?.batch_execute("CREATE DATABASE orders").await?;
        migrate::up(&server.superuser_url(DATABASE)).await?;
        let (address, dir) = (FaultProxy::start(socket(&server)).await?, tempfile::tempdir()?);
        let issuer = TokenIssuer::new(dir.path())?;
        let start = |kind: ServiceKind, admin_port: u16, variables: &[(&str, String)]| {
            let port = admin_port.to_string();
            let given = variables.iter().map(|(name, value)| (*name, value.as_str()));
            let all: Vec<_> = [("ADMIN_PORT", port.as_str()), GRACE].into_iter().chain(given).collect();
            let (program, url) = (binaries.program(kind), url(&address, kind.role()));
            Service::start_with(&all, kind, &program, &url, 0, dir.path())
        };
        let tokens = issuer.variables();
        let tokens: Vec<_> = tokens.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let mut write = start(ServiceKind::WriteApi, write_port, &[])?;
        let mut read = start(ServiceKind::ReadApi, read_port, &tokens)?;
        let mut projector = start(ServiceKind::Projector, projector_port, &of_projector(projector_port))?;
        for service in [&mut write, &mut read, &mut projector] {
            service.wait_until_ready().await?;
        }
        Ok(Self {
            binaries,
            address,
            server: Some(server),
            write,
            read,
            projector: Some(projector),
            restarted: None,
            projector_port,
            issuer,
            prometheus,
            _dir: dir,
        })
    }

    /// A session of a superuser.
    pub(super) async fn connect(&self) -> Result<Client> {
        connect(&self.server.as_ref().context("the server has crashed")?.superuser_url(DATABASE)).await
    }

    pub(super) async fn connect_as(&self, role: &str) -> Result<Client> {
        connect(&self.server.as_ref().context("the server has crashed")?.url(role, DATABASE)).await
    }

    /// Stores an order, and so an event. Returns the status.
    pub(super) async fn place(&self) -> Result<StatusCode> {
        let order = json!({"customer_id": "ada", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 5}]});
        let placed = reqwest::Client::new().post(format!("{}/orders", self.write.url())).json(&order);
        Ok(placed.send().await?.status())
    }

    /// Lists the orders of a customer and of all, gets one that has not changed, and sends what is no order.
    pub(super) async fn use_everything(&self) -> Result<()> {
        let token = self.issuer.token("shop", &["orders:read:any"], None)?;
        let client = reqwest::Client::new();
        let get = |path: &str| client.get(format!("{}{path}", self.read.url())).bearer_auth(&token);
        get("/orders").send().await?.error_for_status()?;
        let list: Value = get("/customers/ada/orders").send().await?.error_for_status()?.json().await?;
        let id = list.pointer("/orders/0/order_id").and_then(Value::as_str).context("no order")?;
        let order = get(&format!("/orders/{id}"));
        let again = order.header("if-none-match", "*").send().await?.status();
        ensure!(again == StatusCode::NOT_MODIFIED, "{again}");
        let refused =
            client.post(format!("{}/orders", self.write.url())).json(&json!({})).send().await?.status();
        ensure!(refused.is_client_error(), "{refused}");
        Ok(())
    }

    /// A shell with what the runbook tells operators to set, and the projector's environment.
    pub(super) fn shell(&self, commands: &str) -> Result<std::process::Command> {
        let program = self.binaries.program(ServiceKind::Projector);
        let psql = Binaries::find()?.program("psql");
        let (programs, psql) = program.parent().zip(psql.parent()).context("no directory")?;
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", commands]).stdin(Stdio::null());
        shell.env("PATH", format!("{}:{}:{}", programs.display(), psql.display(), std::env::var("PATH")?));
        shell.env("DATABASE_URL", url(&self.address, "orders_projector"));
        shell.env("WRITE_URL", url(&self.address, "orders_write_api"));
        shell.env("ADMIN_URL", url(&self.address, "postgres"));
        shell.env("WRITE_API", self.write.admin_url()).env("READ_API", self.read.admin_url());
        shell.env("PROJECTOR", format!("http://127.0.0.1:{}", self.projector_port));
        // Of the alerts about one process that are tested.
        shell
            .env("PROCESS", self.write.admin_url())
            .env("PROCESS_URL", url(&self.address, "orders_write_api"));
        shell.envs(of_projector(self.projector_port));
        Ok(shell)
    }

    /// What the commands print.
    pub(super) async fn run(&self, commands: &str) -> Result<String> {
        let mut shell = tokio::process::Command::from(self.shell(commands)?);
        let output = tokio::time::timeout(LIMIT, shell.kill_on_drop(true).output()).await??;
        Ok(String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?)
    }

    /// Waits until the commands print all of this.
    pub(super) async fn shows(&self, commands: &str, expected: &[&str]) -> Result<String> {
        let is_shown = |printed: &str| expected.iter().all(|text| printed.contains(text));
        self.until_shown(commands, is_shown).await
    }

    pub(super) async fn until_shown(
        &self,
        commands: &str,
        is_shown: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let shown = wait::until("the output of the commands", LIMIT, async || {
            let printed = self.run(commands).await.map_err(|error| format!("{error:#}"))?;
            if is_shown(&printed) { Ok(printed) } else { Err(printed) }
        });
        Ok(shown.await?)
    }
}

/// Starts Prometheus, which scrapes the three processes at these admin ports.
async fn scrape(ports: [u16; 3]) -> Result<Option<Prometheus>> {
    const JOBS: [&str; 3] = ["orders-write-api", "orders-read-api", "orders-projector"];
    let example = std::fs::read_to_string(repository("deploy/prometheus/prometheus.yml"))?;
    for job in JOBS {
        ensure!(example.contains(&format!("job_name: {job}\n")), "no job {job}");
    }
    let targets = ports.map(|port| format!("127.0.0.1:{port}"));
    let targets: Vec<_> = JOBS.into_iter().zip(targets.iter().map(String::as_str)).collect();
    let prometheus = Prometheus::start(&targets).await?;
    if prometheus.is_none() {
        writeln!(std::io::stderr(), "ALERTS ARE NOT TESTED, {MISSING}")?;
    }
    Ok(prometheus)
}

/// The URL of the database for this role.
fn url(address: &FaultProxy, role: &str) -> String {
    format!("postgres://{role}@127.0.0.1:{}/{DATABASE}", address.port())
}

/// What is set for each projector of the scene.
fn of_projector(admin_port: u16) -> [(&'static str, String); 6] {
    let fixed = |name: &'static str, value: &str| (name, value.to_owned());
    [
        ("ADMIN_PORT", admin_port.to_string()),
        fixed("PORT", "0"),
        fixed("AUTH", "off"),
        fixed("PARKED_ATTEMPTS", "1"),
        fixed("WEBHOOK_ALLOW_PRIVATE", "true"),
        // What the runbook's commands print, and nothing else.
        fixed("RUST_LOG", "off"),
    ]
}

async fn connect(url: &str) -> Result<Client> {
    let (session, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(session)
}
