//! Each query of the dashboard finds what it names in Prometheus, while that scrapes the real processes under load.

#![allow(clippy::indexing_slicing, reason = "Indexing a JSON value gives null if there is nothing.")]

use std::cell::Cell;
use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use serde_json::Value;
use testkit::prometheus::{MISSING, Prometheus};
use testkit::tokens::TokenIssuer;
use testkit::wait;

use super::{LIMIT, Scene};

const DASHBOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../grafana/orders.json");
/// As in deploy/prometheus/prometheus.yml.
const JOBS: [&str; 3] = ["orders-write-api", "orders-projector", "orders-read-api"];

/// The screens that operators were promised.
const SCREENS: [&str; 6] = [
    "Traffic and errors",
    "Write pipeline",
    "Projection and lag",
    "Read side and streams",
    "Listeners",
    "Database and processes",
];

/// A query, as Grafana sends it, and the labels that its legend shows.
struct Query {
    panel: String,
    text: String,
    labels: BTreeSet<String>,
}

fn dashboard() -> Result<Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(DASHBOARD).context(DASHBOARD)?)?)
}

fn array<'a>(value: &'a Value, name: &str) -> Result<&'a [Value]> {
    value[name].as_array().map(Vec::as_slice).with_context(|| format!("no {name} in {value}"))
}

fn queries(dashboard: &Value) -> Result<Vec<Query>> {
    let legend_label = Regex::new(r"\{\{(\w+)\}\}")?;
    let mut queries = Vec::new();
    for panel in array(dashboard, "panels")?.iter().filter(|panel| panel["type"] != "row") {
        let name = panel["title"].as_str().context("a panel without a title")?;
        ensure!(panel["description"].as_str().is_some_and(|text| text.len() > 10), "{name} says too little");
        for target in array(panel, "targets")? {
            let (expr, legend) = (&target["expr"], &target["legendFormat"]);
            let (expr, legend) = expr.as_str().zip(legend.as_str()).with_context(|| name.to_owned())?;
            let text = expr.replace("$__rate_interval", "30s").replace("$instance", ".+");
            ensure!(!text.contains('$'), "{name}: {text}");
            // These show only what is above zero. That it is there shows that the names are right.
            let text = text.trim_end_matches(" > 0").to_owned();
            let labels = legend_label.captures_iter(legend).map(|found| found[1].to_owned()).collect();
            queries.push(Query { panel: name.to_owned(), text, labels });
        }
    }
    Ok(queries)
}

/// Why the query shows nothing.
async fn fault(prometheus: &Prometheus, query: &Query) -> Result<Option<String>> {
    let samples = prometheus.query(&query.text).await?;
    let shows = |sample: &Value, label: &String| {
        sample["metric"][label].as_str().is_some_and(|text| !text.is_empty())
    };
    let is_complete = samples.iter().any(|sample| query.labels.iter().all(|label| shows(sample, label)));
    Ok((!is_complete).then(|| format!("{}: {} finds {samples:?}", query.panel, query.text)))
}

#[tokio::test]
async fn each_query_of_the_dashboard_finds_what_it_names() -> Result<()> {
    let scene = Scene::start(TokenIssuer::variables_without_shares).await?;
    let targets: Vec<_> =
        scene.services.iter().map(|(service, _)| service.admin_url().trim_start_matches("http://")).collect();
    let targets: Vec<_> = JOBS.into_iter().zip(targets).collect();
    let Some(prometheus) = Prometheus::start(&targets).await? else {
        eprintln!("NOT TESTED, {MISSING}");
        return Ok(());
    };
    let queries = queries(&dashboard()?)?;
    ensure!(queries.len() > 50, "only {} queries", queries.len());
    let rounds = Cell::new(0);
    // Rates need two scrapes that saw a difference.
    wait::until("all queries", 2 * LIMIT, async || {
        let number = rounds.replace(rounds.get() + 1);
        let used = async {
            scene.use_everything().await?;
            scene.send_what_nobody_expects(&format!("D{number}")).await?;
            let mut faults = Vec::new();
            for query in &queries {
                faults.extend(fault(&prometheus, query).await?);
            }
            anyhow::Ok(faults)
        };
        match used.await {
            Ok(faults) if faults.is_empty() => Ok(()),
            Ok(faults) => Err(faults.join("\n")),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await?;
    Ok(())
}

#[test]
fn the_dashboard_has_all_screens_and_no_two_panels_overlap() -> Result<()> {
    let dashboard = dashboard()?;
    let panels = array(&dashboard, "panels")?;
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    let screens: Vec<_> = rows.filter_map(|row| row["title"].as_str()).collect();
    assert_eq!(screens, SCREENS);
    let mut cells = BTreeSet::new();
    for panel in panels {
        let size = |name: &str| panel["gridPos"][name].as_u64().with_context(|| panel.to_string());
        let (x, y) = (size("x")?, size("y")?);
        for column in x..x + size("w")? {
            for line in y..y + size("h")? {
                ensure!(column < 24 && cells.insert((column, line)), "{} overlaps", panel["title"]);
            }
        }
    }
    Ok(())
}
