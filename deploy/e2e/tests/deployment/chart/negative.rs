//! Faults that are put into the chart are found.

use anyhow::{Context, Result, ensure};

use super::rendered::{CHART, documents, of_kind, pods, render, render_production};
use super::rules::{faults, unknown_ports};
use super::schemas::{checkov_faults, schema_faults};
use super::{check, environment, run};

/// A text of the chart that a fault replaces, and a word of what is then said.
type Fault = (&'static str, &'static str, &'static str);

const TYPING_ERRORS: [Fault; 8] = [
    ("terminationGracePeriodSeconds", "terminationGracePeriodSecond", "terminationGracePeriodSecond"),
    ("containerPort: 8081", "containerPort: http", "containerPort"),
    ("minReplicaCount", "minReplicas", "minReplicas"),
    ("secretTargetRef", "secretTargetRefs", "secretTargetRefs"),
    ("scrapeTimeout: 10s", "scrapeTimeout: 10 s", "scrapeTimeout"),
    ("relabelings:", "relabeling:", "relabeling"),
    ("expr: ", "exp: ", "exp"),
    ("type: PathPrefix, value: /customers", "type: Prefix, value: /customers", "Prefix"),
];

const UNSAFE: [Fault; 5] = [
    ("limits:", "limit:", "limits"),
    ("runAsUser: 65532", "runAsUser: 0", "root"),
    ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "readOnlyRootFilesystem"),
    ("automountServiceAccountToken: false", "automountServiceAccountToken: true", "token"),
    ("mountPath: /etc/orders,", "mountPath: /etc/orders, subPath: database_url,", "subPath"),
];

const WRONG_PORTS: [Fault; 4] = [
    ("path: /readyz, port: admin", "path: /readyz, port: metrics", "readinessProbe"),
    ("targetPort: http,", "targetPort: web,", "Service"),
    ("orders-read-api, port: 8082", "orders-read-api, port: 8081", "HTTPRoute"),
    ("- port: admin", "- port: metrics", "scrape"),
];

const WRONG_VALUES: [(&str, &str); 9] = [
    ("readApi.replica=3", "replica"),
    ("httpRout.enabled=true", "httpRout"),
    ("projector.autoscaling.minReplica=2", "minReplica"),
    ("readApi.env.PORT=80", "PORT"),
    ("writeApi.env.DATABASE_URL=postgres://", "DATABASE_URL"),
    ("writeApi.digest=latest", "digest"),
    ("writeApi.resources.limits.memory=null", "memory"),
    ("httpRoute.enabled=true", "parentRefs"),
    (r"pods.labels.app\.kubernetes\.io/name=shop", "app.kubernetes.io/name"),
];

fn changed(text: &str, (from, to, _): Fault) -> Result<String> {
    ensure!(text.contains(from), "{from} is not in the chart");
    Ok(text.replace(from, to))
}

/// The documents with the fault, and no others: each check takes seconds.
fn only_changed(text: &str, fault: Fault) -> Result<String> {
    let changed = changed(text, fault)?;
    Ok(changed.split("\n---").filter(|part| !text.contains(part)).collect::<Vec<_>>().join("\n---"))
}

fn assert_found(found: &[String], (from, to, word): Fault) -> Result<()> {
    ensure!(found.iter().any(|line| line.contains(word)), "{to} instead of {from}: {found:?}");
    Ok(())
}

#[test]
#[ignore = "needs Helm and kubernetes-validate; .ci/deploy runs it"]
fn typing_errors_are_found_in_every_kind() -> Result<()> {
    let text = render_production("orders", &[])?;
    for fault in TYPING_ERRORS {
        assert_found(&schema_faults(&only_changed(&text, fault)?)?, fault)?;
    }
    let unknown = only_changed(&text, ("kind: ScaledObject", "kind: ScaledObjekt", ""))?;
    assert_found(&schema_faults(&unknown)?, ("", "an unknown kind", "ScaledObjekt"))?;
    let unknown = only_changed(&text, ("kind: Service\n", "kind: Servise\n", ""))?;
    assert_found(&schema_faults(&unknown)?, ("", "an unknown kind", "Servise"))
}

#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn pods_that_are_not_restricted_are_found() -> Result<()> {
    let text = render("orders", &[])?;
    for fault in UNSAFE {
        assert_found(&faults(&documents(&changed(&text, fault)?)?), fault)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs Helm and checkov; .ci/deploy runs it"]
fn checkov_finds_a_fault() -> Result<()> {
    let fault =
        ("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation");
    assert_found(&checkov_faults(&changed(&render("orders", &[])?, fault)?)?, fault)
}

#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn wrong_ports_are_found() -> Result<()> {
    let text = render_production("orders", &[])?;
    for fault in WRONG_PORTS {
        let found: Vec<_> = unknown_ports(&documents(&changed(&text, fault)?)?).into_iter().collect();
        assert_found(&found, fault)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn wrong_values_are_refused_by_name() -> Result<()> {
    for (value, name) in WRONG_VALUES {
        let error = render("orders", &[value]).map_err(|error| error.to_string());
        let is_named = error.as_ref().is_err_and(|error| error.contains("schema") && error.contains(name));
        ensure!(is_named, "{value}: {error:?}");
    }
    let missing = run("helm", ["template", "orders", CHART]).map_err(|error| error.to_string());
    ensure!(missing.as_ref().is_err_and(|error| error.contains("image.registry is required")), "{missing:?}");
    let same = render("orders", &["readApi.adminPort=8082"]).map_err(|error| error.to_string());
    ensure!(same.as_ref().is_err_and(|error| error.contains("readApi.adminPort are the same")), "{same:?}");
    Ok(())
}

#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn a_maximum_below_the_minimum_has_no_effect() -> Result<()> {
    let wrong = ["readApi.autoscaling.enabled=true", "readApi.autoscaling.maxReplicas=1"];
    let documents = documents(&render("orders", &wrong)?)?;
    let scalers = of_kind(&documents, "HorizontalPodAutoscaler");
    let (_, scaler) = scalers.first().context("no autoscaler")?;
    assert_eq!(scaler["spec"]["maxReplicas"], scaler["spec"]["minReplicas"]);
    Ok(())
}

#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn a_variable_that_no_process_knows_is_found() -> Result<()> {
    let documents = documents(&render("orders", &["readApi.env.LIVE_POL_MS=5"])?)?;
    let pods = pods(&documents);
    let (process, pod) = pods.iter().find(|(name, _)| *name == "read-api").context("no pod")?;
    let error = check(process, &environment(pod)?).map_err(|error| error.to_string());
    assert_eq!(error, Err("read-api knows no LIVE_POL_MS".to_owned()));
    Ok(())
}

/// The rules are a link to those of `deploy/prometheus`.
#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn a_package_has_the_rules() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().to_str().context("no UTF-8")?;
    run("helm", ["package", CHART, "--destination", path])?;
    let archive = directory.path().join("orders-0.1.0.tgz");
    let files = run("tar", ["-tzf", archive.to_str().context("no UTF-8")?])?;
    for file in ["orders/rules/alerts.yml", "orders/rules/objectives.yml", "orders/values.schema.json"] {
        ensure!(files.lines().any(|line| line == file), "{file} is not in the package: {files}");
    }
    Ok(())
}
