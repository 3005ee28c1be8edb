//! The values of labels that rules and the dashboard match.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use serde_json::Value;
use testkit::prometheus::Prometheus;
use testkit::wait;

use super::LIMIT;
use super::scene::Scene;
use crate::query::names;
use crate::repository;
use crate::rules::all_rules;

/// Each selector finds series of the real processes, which have just had a fault, and so does each alternative in it.
pub(super) async fn rules_and_dashboard_match_values_that_occur(scene: &Scene) -> Result<()> {
    let Some(prometheus) = &scene.prometheus else { return Ok(()) };
    let selectors = selectors()?;
    ensure!(selectors.len() > 100, "only {}", selectors.len());
    scene.run("projector webhooks add --url http://127.0.0.1:1/").await?;
    scene.use_everything().await?;
    wait::until("series", LIMIT, async || {
        match missing(prometheus, selectors.iter().map(String::as_str)).await {
            Ok(missing) if missing.is_empty() => Ok(()),
            Ok(missing) => Err(missing.join("\n")),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await?;
    let wrong = r#"orders_database_connections_failed_total{reason="connection"}"#;
    assert_eq!(missing(prometheus, [wrong]).await?, [wrong]);
    Ok(())
}

/// Those that find nothing.
async fn missing<'a>(
    prometheus: &Prometheus,
    selectors: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<&'a str>> {
    let mut missing = Vec::new();
    for selector in selectors {
        if prometheus.query(&format!("count({selector})")).await?.is_empty() {
            missing.push(selector);
        }
    }
    Ok(missing)
}

fn selectors() -> Result<BTreeSet<String>> {
    let mut queries: Vec<_> = all_rules()?.into_iter().map(|rule| rule.expr).collect();
    let dashboard = std::fs::read_to_string(repository("deploy/grafana/orders.json"))?;
    let dashboard: Value = serde_json::from_str(&dashboard)?;
    for panel in dashboard.get("panels").and_then(Value::as_array).context("no panels")? {
        let targets = panel.get("targets").and_then(Value::as_array).into_iter().flatten();
        let exprs = targets.filter_map(|target| target.get("expr")?.as_str());
        queries.extend(exprs.map(|expr| expr.replace("$__rate_interval", "1m").replace("$instance", ".+")));
    }
    let mut selectors = BTreeSet::new();
    for query in queries {
        // What rules record is not scraped.
        let scraped = names(&query)?.selectors.into_iter().filter(|found| !found.metric.contains(':'));
        for selector in scraped {
            selectors.extend(alternatives(&selector.text)?);
        }
    }
    Ok(selectors)
}

/// `a{b=~"c|d"}` is `a{b=~"c"}` and `a{b=~"d"}`. What is left out must occur too: `a{b!="c"}` is `a{b="c"}`.
fn alternatives(selector: &str) -> Result<Vec<String>> {
    let selector = selector.replace("!=\"", "=\"").replace("!~\"", "=~\"");
    let several = Regex::new(r#"=~"([^"()]*\|[^"()]*)""#)?;
    let Some(found) = several.captures(&selector) else { return Ok(vec![selector]) };
    let (whole, values) = found.get(0).zip(found.get(1)).context("no group")?;
    let mut all = Vec::new();
    for value in values.as_str().split('|') {
        all.extend(alternatives(&selector.replace(whole.as_str(), &format!(r#"=~"{value}""#)))?);
    }
    Ok(all)
}

#[test]
fn each_alternative_becomes_a_selector_of_what_it_names() -> Result<()> {
    let all = alternatives(r#"a{b=~"c|d",e=~"1(\\.0)?",f!~"g|h",i!="j"}"#)?;
    let of = |b: &str, f: &str| format!(r#"a{{b=~"{b}",e=~"1(\\.0)?",f=~"{f}",i="j"}}"#);
    assert_eq!(all, [of("c", "g"), of("c", "h"), of("d", "g"), of("d", "h")]);
    Ok(())
}
