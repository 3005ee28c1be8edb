//! What the rules take a rate of is there, with 0, before it is counted the first time. `rate` compares with an earlier
//! value, so it would not see the first ones.

#![allow(clippy::indexing_slicing, reason = "Indexing a JSON value gives null if there is nothing.")]

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::tokens::TokenIssuer;

use super::{Scene, series};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../prometheus/rules");
/// Prometheus adds them.
const OF_SCRAPES: [&str; 2] = ["job", "instance"];

/// A label, a pattern of its values, and whether it must match.
type Matcher = (String, Regex, bool);

/// A metric that a rule takes a rate of.
struct Selector {
    text: String,
    metric: String,
    matchers: Vec<Matcher>,
}

impl Selector {
    /// The series, as they are in a scrape, without those of another metric or with other labels.
    fn matched<'a>(&self, series: &'a BTreeSet<String>) -> Vec<&'a String> {
        let matches = |line: &&String| {
            let (metric, labels) = line.split_once('{').unwrap_or((line, ""));
            let value = |label: &str| {
                let (_, rest) = labels.split_once(&format!("{label}=\""))?;
                Some(rest.split_once('"')?.0)
            };
            let fits = |(label, pattern, must): &Matcher| {
                pattern.is_match(value(label).unwrap_or_default()) == *must
            };
            metric == self.metric && self.matchers.iter().all(fits)
        };
        series.iter().filter(matches).collect()
    }
}

/// The range selectors of all rules.
fn selectors() -> Result<Vec<Selector>> {
    let selector = Regex::new(r#"([a-z_:]+)(?:\{((?:[^"{}]|"[^"]*")*)\})?\[\w+\]"#)?;
    let matcher = Regex::new(r#"(\w+)(=~|!~|!=|=)"([^"]*)""#)?;
    let mut selectors = Vec::new();
    for file in fs::read_dir(RULES)? {
        let rules: Value = serde_saphyr::from_str(&fs::read_to_string(file?.path())?)?;
        let groups = rules["groups"].as_array().context("no groups")?;
        for rule in groups.iter().filter_map(|group| group["rules"].as_array()).flatten() {
            for found in selector.captures_iter(rule["expr"].as_str().context("no query")?) {
                let given = found.get(2).map_or("", |given| given.as_str());
                let matchers = matcher.captures_iter(given).filter(|given| !OF_SCRAPES.contains(&&given[1]));
                let matchers = matchers.map(|given| {
                    let value = if given[2].ends_with('~') {
                        // Prometheus takes these for text.
                        given[3].replace("{customer_id}", r"\{customer_id\}").replace(r"\\", r"\")
                    } else {
                        regex::escape(&given[3])
                    };
                    let pattern = Regex::new(&format!("^(?:{value})$"))?;
                    Ok((given[1].to_owned(), pattern, !given[2].starts_with('!')))
                });
                let matchers = matchers.collect::<Result<_, regex::Error>>()?;
                let (text, metric) = (found[0].to_owned(), found[1].to_owned());
                selectors.push(Selector { text, metric, matchers });
            }
        }
    }
    ensure!(selectors.len() > 60, "only {} selectors", selectors.len());
    Ok(selectors)
}

impl Scene {
    /// The series of all processes, without their processes.
    async fn all_series(&self) -> Result<BTreeSet<String>> {
        let scrapes = self.scrape().await?;
        Ok(scrapes.iter().flat_map(|(_, text)| series("", text)).map(|line| line.trim().to_owned()).collect())
    }

    /// A write that the database does not answer.
    async fn fail_to_place(&self) -> Result<()> {
        let session = self.database.connect().await?;
        session.batch_execute("BEGIN; LOCK TABLE orders").await?;
        let token = self.issuer.token("shop", &["orders:place"], None)?;
        let order = json!({"customer_id": "ada", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 5}]});
        let (write, _) = self.services.first().context("no service")?;
        let placed = self.client.post(format!("{}/orders", write.url())).bearer_auth(&token).json(&order);
        ensure!(placed.send().await?.status() == StatusCode::SERVICE_UNAVAILABLE);
        Ok(session.batch_execute("ROLLBACK").await?)
    }
}

#[tokio::test]
async fn what_rules_take_a_rate_of_is_there_from_the_start() -> Result<()> {
    let scene = Scene::start(TokenIssuer::variables).await?;
    let (selectors, fresh) = (selectors()?, scene.all_series().await?);
    for selector in &selectors {
        ensure!(!selector.matched(&fresh).is_empty(), "a fresh process has no {}", selector.text);
    }
    scene.use_everything().await?;
    scene.send_what_nobody_expects("first").await?;
    scene.fail_to_place().await?;
    let used = scene.all_series().await?;
    for selector in &selectors {
        let mut added = selector.matched(&used);
        added.retain(|series| !fresh.contains(*series));
        ensure!(added.is_empty(), "{} was counted before it was there: {added:?}", selector.text);
    }
    Ok(())
}
