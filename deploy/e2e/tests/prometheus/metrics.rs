//! Rules, their tests and the objectives name metrics and labels that docs/metrics.md lists, and so that exist: another
//! test compares that document with the real processes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use crate::query::names;
use crate::repository;
use crate::rules::{all_rules, all_series};

type Known = BTreeMap<String, BTreeSet<String>>;

/// Prometheus adds them to everything that it scrapes.
const OF_SCRAPES: [&str; 2] = ["job", "instance"];

fn read(document: &str) -> Result<String> {
    std::fs::read_to_string(repository(document)).with_context(|| document.to_owned())
}

/// The queries in docs/objectives.md.
pub(crate) fn promql_blocks() -> Result<Vec<String>> {
    let text = read("docs/objectives.md")?;
    let blocks = text.split("```promql\n").skip(1);
    Ok(blocks.filter_map(|block| Some(block.split_once("```")?.0.to_owned())).collect())
}

/// The metrics that can be queried, with their labels.
fn known() -> Result<Known> {
    let mut known = Known::from([("up".to_owned(), BTreeSet::new())]);
    for line in read("docs/metrics.md")?.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, ..] = cells.as_slice() else { continue };
        let name = name.trim_matches('`');
        let labels: BTreeSet<_> =
            labels.split(", ").map(|label| label.trim_matches('`').to_owned()).collect();
        if *kind == "histogram" {
            let mut of_buckets = labels.clone();
            of_buckets.insert("le".to_owned());
            known.insert(format!("{name}_bucket"), of_buckets);
            known.insert(format!("{name}_count"), labels.clone());
            known.insert(format!("{name}_sum"), labels);
        } else {
            known.insert(name.to_owned(), labels);
        }
    }
    ensure!(known.len() > 50, "only {} metrics", known.len());
    for labels in known.values_mut() {
        labels.extend(OF_SCRAPES.map(str::to_owned));
    }
    Ok(known)
}

fn check(query: &str, known: &Known) -> Result<()> {
    let found = names(query)?;
    ensure!(!found.selectors.is_empty(), "no metric in {query}");
    for selector in &found.selectors {
        let labels = known.get(&selector.metric).with_context(|| format!("no metric {}", selector.metric))?;
        let unknown: Vec<_> = selector.labels.difference(labels).collect();
        ensure!(unknown.is_empty(), "{} has no labels {unknown:?}", selector.metric);
    }
    for label in &found.groupings {
        let metrics = found.selectors.iter().filter_map(|selector| known.get(&selector.metric));
        ensure!(metrics.into_iter().all(|labels| labels.contains(label)), "no label {label} in {query}");
    }
    Ok(())
}

#[test]
fn rules_their_tests_and_the_objectives_name_metrics_that_exist() -> Result<()> {
    let mut recorded = known()?;
    // What a rule records is a sum without labels.
    recorded.extend(all_rules()?.into_iter().filter_map(|rule| Some((rule.record?, BTreeSet::new()))));
    for series in all_series()? {
        check(&series, &recorded).with_context(|| format!("a test: {series}"))?;
    }
    for rule in all_rules()? {
        check(&rule.expr, &recorded).with_context(|| format!("{:?} {:?}", rule.record, rule.alert))?;
    }
    for query in promql_blocks()? {
        check(&query, &recorded).context("docs/objectives.md")?;
    }
    Ok(())
}

#[test]
fn a_metric_or_a_label_that_does_not_exist_is_found() -> Result<()> {
    let known = known()?;
    let right = r#"sum by (pool) (rate(orders_database_connections_failed_total{reason="busy"}[5m])) > 0"#;
    check(right, &known)?;
    for (old, new) in [("failed_total", "refused_total"), ("reason", "cause"), ("by (pool)", "by (listener)")]
    {
        assert!(check(&right.replace(old, new), &known).is_err(), "{new}");
    }
    Ok(())
}
