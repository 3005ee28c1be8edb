//! The whole system in containers.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::{ports, wait};

use crate::commands::{output, run};
use crate::images::{self, TAG};
use crate::secrets::Secrets;

/// The processes restart in seconds; the first start makes two databases.
const START: Duration = Duration::from_mins(3);

/// Removed on drop, with its volumes and networks.
pub(crate) struct Stack {
    pub(crate) secrets: Secrets,
    project: String,
    /// The third byte of the addresses in its networks.
    network: u32,
    pub(crate) https_port: u16,
    pub(crate) haproxy_port: u16,
    pub(crate) prometheus_port: u16,
}

impl Stack {
    pub(crate) fn start() -> Result<Self> {
        images::build()?;
        let stack = Self {
            secrets: Secrets::make()?,
            project: format!("orders-e2e-{}", std::process::id()),
            network: std::process::id() % 200 + 20,
            https_port: ports::free()?,
            haproxy_port: ports::free()?,
            prometheus_port: ports::free()?,
        };
        output(stack.compose().args(["up", "--detach", "--no-build"]))?;
        Ok(stack)
    }

    fn compose(&self) -> Command {
        let mut command = Command::new("podman-compose");
        command
            .current_dir(self.secrets.deploy())
            .args(["--file", "compose.yaml", "--file", "compose/podman.yaml"])
            .envs(self.vars(TAG));
        command
    }

    /// Runs a script of `deploy/compose`, for images with this tag.
    pub(crate) fn script(&self, name: &str, arguments: &[&str], tag: &str) -> Result<()> {
        let program = self.secrets.deploy().join("compose").join(name);
        print!("{}", output(Command::new(program).args(arguments).envs(self.vars(tag)))?);
        Ok(())
    }

    fn vars(&self, tag: &str) -> [(&'static str, String); 9] {
        [
            ("ENGINE", "podman".to_owned()),
            ("COMPOSE_PROJECT_NAME", self.project.clone()),
            ("TAG", tag.to_owned()),
            ("FRONT", format!("172.31.{}", self.network)),
            ("BACK", format!("172.29.{}", self.network)),
            ("HTTPS_PORT", self.https_port.to_string()),
            ("HAPROXY_PORT", self.haproxy_port.to_string()),
            ("PROMETHEUS_PORT", self.prometheus_port.to_string()),
            ("WEBHOOK_ALLOW_PRIVATE", "true".to_owned()),
        ]
    }

    /// The address of this machine for the containers.
    pub(crate) fn host(&self) -> String {
        format!("172.31.{}.1", self.network)
    }

    /// The names of the containers of a service, also of those that do not run.
    pub(crate) fn containers(&self, service: &str) -> Result<Vec<String>> {
        let [project, service] = [("project", self.project.as_str()), ("service", service)]
            .map(|(name, value)| format!("label=com.docker.compose.{name}={value}"));
        let filters = ["ps", "--all", "--filter", &project, "--filter", &service, "--format", "{{.Names}}"];
        let mut names: Vec<_> = run("podman", filters)?.lines().map(str::to_owned).collect();
        names.sort();
        ensure!(!names.is_empty(), "there is no container of {service}");
        Ok(names)
    }

    /// The only container of a service.
    pub(crate) fn container(&self, service: &str) -> Result<String> {
        self.containers(service)?.into_iter().next().context("no container")
    }

    /// Waits until every process says that it is ready, as its platform would ask.
    pub(crate) async fn until_ready(&self) -> Result<()> {
        for (service, port) in [("write-api", 9081), ("projector", 9083), ("read-api", 9082)] {
            for container in self.containers(service)? {
                self.until_replica_ready(&container, port).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn until_replica_ready(&self, container: &str, admin_port: u16) -> Result<()> {
        wait::until(&format!("{container} to be ready"), START, || async {
            let url =
                format!("http://{}:{admin_port}/readyz", address(container).map_err(|error| text(&error))?);
            let response = reqwest::get(url).await.map_err(|error| error.to_string())?;
            if response.status().is_success() {
                Ok(())
            } else {
                Err(response.text().await.unwrap_or_default())
            }
        })
        .await
        .with_context(|| logs(container, "20"))
    }

    /// What the processes have warned of, with the names of their containers.
    pub(crate) fn warnings(&self) -> String {
        let containers = ["write-api", "projector", "read-api"].map(|service| self.containers(service));
        let containers = containers.into_iter().flatten().flatten();
        let warnings = |container: String| {
            let logs = logs(&container, "1000");
            let lines = logs.lines().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\""));
            lines.map(|line| format!("{container}: {line}")).collect::<Vec<_>>()
        };
        let requests = logs(&format!("{}_haproxy_1", self.project), "10000");
        let is_smooth = |line: &&str| line.contains("\"status\":2") && line.contains("\"retries\":\"0\"");
        let refused = requests.lines().filter(|line| !is_smooth(line));
        containers.flat_map(warnings).chain(refused.map(str::to_owned)).collect::<Vec<_>>().join("\n")
    }

    /// The result of a query on the database of this service, as the superuser.
    pub(crate) fn query(&self, service: &str, sql: &str) -> Result<String> {
        let container = self.container(service)?;
        let psql = [
            "exec",
            &container,
            "psql",
            "-h",
            "/tmp/postgres",
            "-U",
            "postgres",
            "-d",
            "orders",
            "-Atqc",
            sql,
        ];
        Ok(run("podman", psql)?.trim().to_owned())
    }
}

/// Ends the process in the container as a crash would. (What `podman kill` ends stays down.)
pub(crate) fn kill(container: &str) -> Result<()> {
    let process = run("podman", ["inspect", "--format", "{{.State.Pid}}", container])?;
    run("kill", ["-KILL", process.trim()])?;
    Ok(())
}

fn text(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

/// The address of a container in the network of `HAProxy`.
fn address(container: &str) -> Result<String> {
    let template =
        "{{range $name, $network := .NetworkSettings.Networks}}{{$name}} {{$network.IPAddress}}\n{{end}}";
    let networks = run("podman", ["inspect", "--format", template, container])?;
    let front = networks.lines().find_map(|line| {
        let (name, address) = line.split_once(' ')?;
        (name.ends_with("front") && !address.is_empty()).then(|| address.to_owned())
    });
    front.with_context(|| format!("{container} has no address: {networks}"))
}

/// The last lines of the container's log.
fn logs(container: &str, lines: &str) -> String {
    let logs = Command::new("podman").args(["logs", "--tail", lines, container]).output();
    logs.map(|logs| String::from_utf8_lossy(&[logs.stdout, logs.stderr].concat()).into_owned())
        .unwrap_or_default()
}

impl Drop for Stack {
    fn drop(&mut self) {
        let label = format!("label=com.docker.compose.project={}", self.project);
        // podman-compose leaves a network behind if a container of it was restarting.
        let _tried = output(self.compose().args(["down", "--volumes", "--timeout", "1"]));
        // `compose run` has made it.
        let _tried = run("podman", ["pod", "rm", "--force", "--ignore", &format!("pod_{}", self.project)]);
        for kind in ["container", "volume", "network"] {
            let list: &[&str] = if kind == "container" { &["ls", "--all"] } else { &["ls"] };
            let arguments = [&[kind], list, &["--quiet", "--filter", &label]].concat();
            for id in run("podman", arguments).unwrap_or_default().lines() {
                let _tried = run("podman", [kind, "rm", "--force", id]);
            }
        }
    }
}
