//! The pods of the chart really start, and an order passes through them.
//!
//! podman is no cluster. What a cluster does is done here: the migration is a Pod, a Service is an alias on the
//! network, and the files of Secrets get the mode and the group of the volume.

mod podman;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use self::podman::{Podman, exec, podman, set_mode};
use crate::chart::rendered::{documents, items, of_kind, render};
use crate::commands::repository;
use crate::environment::PROCESSES;
use crate::images;
use crate::secrets::Secrets;

/// The name of the release, with which everything here begins.
const RELEASE: &str = "orders-pods";
const POSTGRES: &str = "orders-pods-postgres";
const IMAGE: &str = "docker.io/library/postgres:17-bookworm";
/// The names of PostgreSQL in its certificate and in the URLs.
const DATABASE_NAMES: [&str; 2] = ["postgres", "standby"];
/// The group that may read the files of Compose.
const GROUP: u32 = 65532;

/// The values of the installation, with Secrets of this test.
const VALUES: [&str; 8] = [
    "image.registry=localhost/orders",
    "auth.issuer=https://issuer.orders.example",
    "auth.jwksSecret=orders-pods-issuer",
    "migrate.databaseSecret=orders-pods-migrate",
    "writeApi.databaseSecret=orders-pods-write-api",
    "projector.databaseSecret=orders-pods-projector",
    "readApi.databaseSecret=orders-pods-read-api",
    "readApi.cursorSecret=orders-pods-cursors",
];

/// PostgreSQL with TLS, as in Compose.
fn start_postgres(scene: &Podman, secrets: &Secrets) -> Result<()> {
    let scripts = format!("{}:/compose:ro", repository().join("deploy/compose").display());
    let files = format!("{}:/run/secrets:ro", secrets.of("postgres").display());
    let user = format!("postgres:{GROUP}");
    let tmpfs = ["--tmpfs", "/tmp"];
    let options = ["run", "--detach", "--name", POSTGRES, "--network", &scene.network, "--user", &user];
    let volumes = ["--volume", &scripts, "--volume", &files, "--entrypoint", "/bin/bash"];
    podman(options.into_iter().chain(tmpfs).chain(volumes).chain([
        IMAGE,
        "/compose/postgres",
        "postgres",
        "standby",
    ]))?;
    let ready = || exec(POSTGRES, "pg_isready --quiet --host=127.0.0.1 --username=postgres", &[]);
    scene.wait_for("PostgreSQL", ready).map(drop)
}

/// A Secret of the chart: files of `secrets`, whose URL names the CA where the chart mounts it.
fn make_secret(scene: &Podman, secrets: &Secrets, name: &str, service: &str, files: &[&str]) -> Result<()> {
    let data: Result<serde_json::Map<_, _>> = files
        .iter()
        .map(|file| {
            Ok((
                (*file).to_owned(),
                secrets.read(service, file)?.replace("/run/secrets", "/etc/orders").into(),
            ))
        })
        .collect();
    scene.make_secret(&format!("{RELEASE}-{name}"), &json!({ "data": data? }))
}

/// What podman 4.3 does in another way is left out: it publishes ports on the machine, and runs probes by `curl`, which
/// is not in the image. It must know whether a Secret is optional. Its name server loses questions, for which a
/// connection to the database waits too long, so the pod knows the address.
fn for_podman(mut pod: Value, database: &str) -> Result<Value> {
    pod["hostAliases"] = json!([{"ip": database, "hostnames": DATABASE_NAMES}]);
    for container in pod["containers"].as_array_mut().context("no containers")? {
        let container = container.as_object_mut().context("no container")?;
        container.retain(|field, _| field != "ports" && !field.ends_with("Probe"));
    }
    for volume in pod["volumes"].as_array_mut().into_iter().flatten() {
        volume["secret"]["optional"] = false.into();
    }
    Ok(pod)
}

/// The Pod of a Job or of one replica of a Deployment, under the same name.
fn pod_of(owner: &Value, database: &str) -> Result<Value> {
    let template = &owner["spec"]["template"];
    let spec = for_podman(template["spec"].clone(), database)?;
    let metadata = json!({"name": owner["metadata"]["name"], "labels": template["metadata"]["labels"]});
    Ok(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
}

fn number(value: &Value) -> Result<u32> {
    Ok(value.as_u64().with_context(|| format!("{value} is no number"))?.try_into()?)
}

/// Makes the pod, gives its files the mode and the group that they have in a cluster, and starts it.
fn start(scene: &Podman, owner: &Value) -> Result<String> {
    let pod = pod_of(owner, &scene.address(POSTGRES)?)?;
    let name = owner["metadata"]["name"].as_str().context("no name")?;
    scene.create(name, &pod)?;
    let group = number(&pod["spec"]["securityContext"]["fsGroup"])?;
    for volume in items(&pod["spec"]["volumes"]) {
        let secret = &volume["secret"];
        let name = secret["secretName"].as_str().context("no Secret")?;
        set_mode(name, group, number(&secret["defaultMode"])?)?;
    }
    podman(["pod", "start", name])?;
    let container = pod["spec"]["containers"][0]["name"].as_str().context("no container")?;
    Ok(format!("{name}-{container}"))
}

fn run_migration(scene: &Podman, documents: &[Value]) -> Result<()> {
    let jobs = of_kind(documents, "Job");
    let (_, job) = jobs.first().context("no Job")?;
    let container = start(scene, job)?;
    let status = podman(["wait", &container])?;
    ensure!(status.trim() == "0", "status {status}: {}", podman(["logs", &container])?);
    Ok(())
}

/// As the container `roles` of Compose.
fn set_passwords(scene: &Podman, secrets: &Secrets) -> Result<()> {
    let script = format!("{}:/compose:ro", repository().join("deploy/compose").display());
    let superuser =
        format!("{}:/superuser.sql:ro", repository().join("deploy/migrate/superuser.sql").display());
    let files = format!("{}:/run/secrets:ro", secrets.of("roles").display());
    let user = format!("postgres:{GROUP}");
    let options =
        ["run", "--rm", "--name", "orders-pods-roles", "--network", &scene.network, "--user", &user];
    let database = scene.address(POSTGRES)?;
    let hosts = DATABASE_NAMES.map(|name| format!("--add-host={name}:{database}"));
    let volumes = ["--tmpfs", "/tmp", "--volume", &script, "--volume", &superuser, "--volume", &files];
    let command = ["--entrypoint", "/bin/bash", IMAGE, "/compose/set-passwords"];
    let hosts = hosts.iter().map(String::as_str);
    podman(options.into_iter().chain(hosts).chain(volumes).chain(command)).map(drop)
}

/// A response of a Service, asked for by its name from within the network.
fn request(service: &str, port: &Value, head: &str, token: &str, body: &str) -> Result<String> {
    let text = format!(
        "{head} HTTP/1.1\r\nhost: {service}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nprefer: wait=10\r\n\r\n{body}",
        body.len()
    );
    let script = r#"exec 3<>"/dev/tcp/$1/$2"; printf '%s' "$3" >&3; exec timeout 20 cat <&3"#;
    exec(POSTGRES, script, &[service, &port.to_string(), &text])
}

fn expect(status: u16, response: &str) -> Result<Value> {
    let (head, body) = response.split_once("\r\n\r\n").with_context(|| format!("no response: {response}"))?;
    ensure!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    Ok(serde_json::from_str(body)?)
}

/// The port of a Service.
fn port<'a>(documents: &'a [Value], process: &str, name: &str) -> Result<&'a Value> {
    let services = of_kind(documents, "Service");
    let of_process = services.iter().find(|(service, _)| *service == format!("{RELEASE}-{process}"));
    let mut ports = items(&of_process.context("no Service")?.1["spec"]["ports"]);
    Ok(&ports.find(|port| port["name"] == name).context("no port")?["port"])
}

fn install(scene: &Podman, secrets: &Secrets) -> Result<Vec<Value>> {
    for process in ["migrate", "write-api", "projector", "read-api"] {
        make_secret(scene, secrets, process, process, &["database_url", "ca.pem"])?;
    }
    make_secret(scene, secrets, "issuer", "write-api", &["jwks.json"])?;
    make_secret(scene, secrets, "cursors", "read-api", &["cursor_key"])?;
    let documents = documents(&render(
        RELEASE,
        &[VALUES.as_slice(), &[&format!("image.tag={}", images::TAG)]].concat(),
    )?)?;
    start_postgres(scene, secrets)?;
    run_migration(scene, &documents)?;
    set_passwords(scene, secrets)?;
    Ok(documents)
}

#[test]
#[ignore = "needs podman, Helm and the images; .ci/deploy runs it"]
fn an_order_passes_through_the_pods() -> Result<()> {
    images::build()?;
    let scene = Podman::new(RELEASE)?;
    let secrets = Secrets::make()?;
    let documents = install(&scene, &secrets)?;
    let mut containers = Vec::new();
    for (_, deployment) in of_kind(&documents, "Deployment") {
        containers.push(start(&scene, deployment)?);
    }
    assert_eq!(containers.len(), PROCESSES.len());
    for process in PROCESSES {
        let admin = port(&documents, process, "admin")?;
        let ready = || expect(200, &request(&format!("{RELEASE}-{process}"), admin, "GET /readyz", "", "")?);
        scene.wait_for(process, ready)?;
    }
    pass_order(&documents, &secrets.token()?).with_context(|| scene.logs())?;
    // They end in order, and within the grace period of the chart.
    for container in &containers {
        podman(["stop", "--time", "30", container])?;
        let status = podman(["inspect", "--format", "{{.State.ExitCode}}", container])?;
        assert_eq!(status.trim(), "0", "{container}: {}", podman(["logs", "--tail", "5", container])?);
    }
    Ok(())
}

/// Places an order, and reads it.
fn pass_order(documents: &[Value], token: &str) -> Result<()> {
    let order = json!({"customer_id": "alice", "items": [{"sku": "TEA", "quantity": 2, "price_cents": 450}]});
    let write = port(documents, "write-api", "http")?;
    let placed = request("orders-pods-write-api", write, "POST /orders", token, &order.to_string())?;
    let placed = expect(201, &placed)?;
    let id = placed["order_id"].as_str().context("no id")?;
    let read = port(documents, "read-api", "http")?;
    let head = format!("GET /orders/{id}?min_version=1");
    let found = expect(200, &request("orders-pods-read-api", read, &head, token, "")?)?;
    ensure!(found["total_cents"] == 900, "{found}");
    Ok(())
}
