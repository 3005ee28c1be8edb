//! An alert, as a real Prometheus sees it.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regex::{Captures, Regex};
use serde_json::Value;
use testkit::prometheus::{Prometheus, SCRAPE_EVERY};
use testkit::wait;

use super::LIMIT;
use super::scene::Scene;
use crate::query::names;
use crate::rules::all_rules;

/// The longest interval that deploy/prometheus/prometheus.yml allows.
const SLOWEST_SCRAPE: Duration = Duration::from_secs(30);

/// The expression of an alert in deploy/prometheus/rules, without its `for`: nobody waits for minutes here.
pub(super) struct Alert<'a> {
    prometheus: Option<&'a Prometheus>,
    expr: String,
    has_fired: Cell<bool>,
}

impl<'a> Alert<'a> {
    pub(super) fn new(scene: &'a Scene, name: &str) -> Result<Self> {
        let mut rules = all_rules()?.into_iter().filter(|rule| rule.alert.as_deref() == Some(name));
        let expr = rules.next().with_context(|| format!("no alert {name}"))?.expr;
        let (expr, prometheus) = (with_scrapes(&expr)?, scene.prometheus.as_ref());
        Ok(Self { prometheus, expr, has_fired: Cell::new(false) })
    }

    /// With another limit, where nothing but time would reach the real one.
    pub(super) fn with_limit(mut self, limit: &str, lower: &str) -> Result<Self> {
        ensure!(self.expr.ends_with(&format!("> {limit}")), "{} has no limit of {limit}", self.expr);
        self.expr = self.expr.replace(&format!("> {limit}"), &format!("> {lower}"));
        Ok(self)
    }

    /// Waits until Prometheus has what the expression names, and finds it false.
    pub(super) async fn is_silent(&self) -> Result<()> {
        let Some(prometheus) = self.prometheus else { return Ok(()) };
        let selectors: Vec<_> = names(&self.expr)?.selectors.into_iter().map(|found| found.text).collect();
        ensure!(!selectors.is_empty(), "{} names nothing", self.expr);
        wait::until("silence", LIMIT, async || {
            for selector in &selectors {
                if ask(prometheus, selector).await?.is_empty() {
                    return Err(format!("no {selector}"));
                }
            }
            let found = ask(prometheus, &self.expr).await?;
            if found.is_empty() { Ok(()) } else { Err(format!("{}: {found:?}", self.expr)) }
        })
        .await?;
        Ok(())
    }

    pub(super) async fn fires(&self) -> Result<()> {
        let Some(prometheus) = self.prometheus else { return Ok(()) };
        wait::until("the alert", LIMIT, async || {
            if ask(prometheus, &self.expr).await?.is_empty() { Err(self.expr.clone()) } else { Ok(()) }
        })
        .await?;
        self.has_fired.set(true);
        Ok(())
    }

    pub(super) async fn ends(&self) -> Result<()> {
        ensure!(self.prometheus.is_none() || self.has_fired.get(), "it has not fired");
        self.is_silent().await
    }
}

async fn ask(prometheus: &Prometheus, query: &str) -> Result<Vec<Value>, String> {
    prometheus.query(query).await.map_err(|error| format!("{error:#}"))
}

/// Windows with as many scrapes as they have at [`SLOWEST_SCRAPE`]. The Prometheus of tests scrapes more often, so that
/// a failure leaves them within seconds.
fn with_scrapes(expr: &str) -> Result<String> {
    let window = Regex::new(r"\[(\d+)m\]")?;
    let scaled = window.replace_all(expr, |found: &Captures<'_>| {
        let minutes: u64 = found.get(1).and_then(|minutes| minutes.as_str().parse().ok()).unwrap_or_default();
        let scrapes = minutes * 60 / SLOWEST_SCRAPE.as_secs();
        format!("[{}s]", scrapes * SCRAPE_EVERY.as_secs())
    });
    Ok(scaled.into_owned())
}

#[test]
fn a_window_keeps_its_number_of_scrapes() -> Result<()> {
    assert_eq!(with_scrapes("a[2m] + b[15m] > 600")?, "a[4s] + b[30s] > 600");
    Ok(())
}
