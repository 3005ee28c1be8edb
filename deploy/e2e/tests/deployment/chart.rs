//! The Helm chart: what it renders is valid, restricted, and accepted by the processes.

mod negative;
pub(crate) mod rendered;
mod routes;
mod rules;
mod schemas;

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use service_kit::config::Vars;

use self::rendered::{CHART, REQUIRED, documents, items, of_kind, pods, render, render_production};
use crate::commands::run;
use crate::environment::{PROCESSES, check, with_files_in};
use crate::secrets::Secrets;

const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn environment(pod: &Value) -> Result<Vars> {
    let variables = pod["containers"][0]["env"].as_array().context("no environment")?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
    variables.iter().map(|variable| Ok((text(&variable["name"])?, text(&variable["value"])?))).collect()
}

#[test]
#[ignore = "needs Helm and kubernetes-validate; .ci/deploy runs it"]
fn what_it_renders_is_valid_and_restricted() -> Result<()> {
    let lint = ["lint", "--strict", CHART].into_iter();
    run("helm", lint.chain(REQUIRED.iter().flat_map(|value| ["--set", value])))?;
    for text in [render("orders", &[])?, render_production("shop", &[])?] {
        let documents = documents(&text)?;
        assert_eq!(rules::faults(&documents), Vec::<String>::new());
        assert_eq!(rules::unknown_ports(&documents), BTreeSet::new());
        assert_eq!(schemas::schema_faults(&text)?, Vec::<String>::new());
        assert_eq!(pods(&documents).len(), PROCESSES.len() + 1);
    }
    Ok(())
}

#[test]
#[ignore = "needs Helm and checkov; .ci/deploy runs it"]
fn it_follows_the_rules_of_checkov() -> Result<()> {
    let digests = ["migrate", "writeApi", "projector", "readApi"].map(|key| format!("{key}.digest={DIGEST}"));
    let text = render_production("shop", &digests.each_ref().map(String::as_str))?;
    assert_eq!(text.matches(DIGEST).count(), 4, "images");
    assert_eq!(schemas::checkov_faults(&text)?, Vec::<String>::new());
    Ok(())
}

#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn each_process_accepts_its_environment() -> Result<()> {
    let documents = documents(&render_production("shop", &[])?)?;
    let pods = pods(&documents);
    for (process, pod) in pods.iter().filter(|(name, _)| *name != "migrate") {
        let secrets = Secrets::make()?;
        let directory = secrets.of(process);
        fs::write(directory.join("headers"), "authorization=Bearer%20token")?;
        fs::write(directory.join("previous"), "a key of cursors that is about to be replaced")?;
        for file in ["headers", "previous"] {
            fs::set_permissions(
                directory.join(file),
                fs::metadata(directory.join("database_url"))?.permissions(),
            )?;
        }
        let previous = directory.join("previous").display().to_string();
        let previous = |value: String| value.replace("/etc/orders-cursors-previous/cursor_key", &previous);
        let mut vars: Vars =
            environment(pod)?.into_iter().map(|(name, value)| (name, previous(value))).collect();
        for mounted in
            ["/etc/orders-issuer", "/etc/orders-traces", "/etc/orders-cursors", "/etc/orders", "/run/secrets"]
        {
            vars = with_files_in(vars, mounted, &directory)?;
        }
        check(process, &vars)?;
        for (name, _) in
            vars.iter().filter(|(name, _)| name.starts_with("AUTH") || name == "DATABASE_URL_FILE")
        {
            let others: Vars = vars.iter().filter(|(other, _)| other != name).cloned().collect();
            ensure!(check(process, &others).is_err(), "{process} starts without {name}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn two_releases_fit_into_one_namespace() -> Result<()> {
    let names = |release: &str| -> Result<BTreeSet<(String, String)>> {
        let documents = documents(&render_production(release, &[])?)?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
        documents.iter().map(|it| Ok((text(&it["kind"])?, text(&it["metadata"]["name"])?))).collect()
    };
    let [first, second] = [names("orders")?, names("shop")?];
    assert_eq!(first.len(), second.len());
    assert_eq!(first.intersection(&second).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    // The selectors have the release too.
    let selected = render_production("shop", &[])?.matches("app.kubernetes.io/instance: orders").count();
    assert_eq!(selected, 0);
    Ok(())
}

#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn a_pod_stops_in_order() -> Result<()> {
    let documents = documents(&render("orders", &[])?)?;
    for (process, deployment) in of_kind(&documents, "Deployment") {
        let pod = &deployment["spec"]["template"]["spec"];
        // What deploy/README.md says about stopping: 25 s at most, and a delay of 5 s until nothing more is accepted.
        let grace = pod["terminationGracePeriodSeconds"].as_u64().context("no grace period")?;
        ensure!((26..=60).contains(&grace), "{process}: {grace} s");
        let probe = &pod["containers"][0]["readinessProbe"];
        let [period, timeout, failures] = ["periodSeconds", "timeoutSeconds", "failureThreshold"]
            .map(|field| probe[field].as_u64().unwrap_or(10));
        ensure!((period + timeout) * failures < 5, "{process} is not ready for too long: {probe}");
        assert!(pod["containers"][0]["lifecycle"].is_null(), "{process} has a hook that delays its stop");
        assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0, "{process}");
    }
    Ok(())
}

/// On an upgrade, the policies of the release select the pod of the migration before they are replaced.
#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn what_the_migration_needs_exists_before_it() -> Result<()> {
    let documents = documents(&render("orders", &[])?)?;
    let weight = |kind: &str| -> Result<i64> {
        let of_kind = of_kind(&documents, kind);
        let (_, document) = of_kind.iter().find(|(name, _)| *name == "orders-migrate").context("missing")?;
        let hook = &document["metadata"]["annotations"];
        ensure!(hook["helm.sh/hook"] == "pre-install,pre-upgrade", "{kind}: {hook}");
        Ok(hook["helm.sh/hook-weight"].as_str().map_or(Ok(0), str::parse)?)
    };
    let job = weight("Job")?;
    assert!(weight("NetworkPolicy")? < job);
    assert!(weight("ServiceAccount")? < job);
    Ok(())
}

#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn only_the_projector_reaches_the_internet() -> Result<()> {
    let documents = documents(&render("orders", &["projector.autoscaling.enabled=true"])?)?;
    let policies = of_kind(&documents, "NetworkPolicy");
    let to_internet = policies.iter().filter(|(_, policy)| policy.to_string().contains("0.0.0.0/0"));
    assert_eq!(to_internet.map(|(name, _)| *name).collect::<Vec<_>>(), ["orders-projector"]);
    // Nobody comes in until somebody is named.
    assert!(policies.iter().all(|(_, policy)| items(&policy["spec"]["ingress"]).next().is_none()));
    Ok(())
}

#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn there_is_always_a_projector() -> Result<()> {
    let documents = documents(&render_production("orders", &["projector.autoscaling.minReplicas=0"])?)?;
    let scaled = of_kind(&documents, "ScaledObject");
    let (_, scaled) = scaled.first().context("no ScaledObject")?;
    assert_eq!(scaled["spec"]["minReplicaCount"], 1);
    assert_eq!(scaled["spec"]["triggers"][0]["metadata"]["query"], "SELECT oldest_event_seconds()");
    Ok(())
}

#[test]
#[ignore = "needs Helm; .ci/deploy runs it"]
fn a_gateway_sends_requests_where_haproxy_sends_them() -> Result<()> {
    let documents = documents(&render_production("orders", &[])?)?;
    let found = of_kind(&documents, "HTTPRoute");
    let (_, route) = found.first().context("no HTTPRoute")?;
    for (request, process) in routes::ROUTES {
        let rule = routes::rule_for(route, request)?;
        assert_eq!(rule["backendRefs"][0]["name"], format!("orders-{process}"), "{request:?}");
        let is_stream = request.1.ends_with("/stream");
        assert_eq!(rule["timeouts"]["request"] == "0s", is_stream, "{request:?}");
    }
    Ok(())
}
