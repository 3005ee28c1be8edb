//! The text format of Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

/// The metrics with one name.
#[derive(Debug, Clone, Default)]
pub(super) struct Family {
    pub(super) kind: String,
    pub(super) help: String,
    pub(super) labels: BTreeSet<String>,
}

/// The families of a scrape, by name.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Family>> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) {
            help.clone_into(&mut families.entry(name.to_owned()).or_default().help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' '))
        {
            kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else if !line.is_empty() {
            add_labels(&mut families, line)?;
        }
    }
    families.retain(|_, family| !family.kind.is_empty());
    Ok(families)
}

fn add_labels(families: &mut BTreeMap<String, Family>, line: &str) -> Result<()> {
    let Some((sample, labels)) = line.split_once('{') else { return Ok(()) };
    let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| sample.strip_suffix(suffix));
    let name = of_histogram.filter(|name| families.contains_key(*name)).unwrap_or(sample);
    let family = families.get_mut(name).with_context(|| format!("no type of {line}"))?;
    let (labels, _) = labels.rsplit_once('}').with_context(|| line.to_owned())?;
    // No value of ours has a quotation mark.
    let names = labels.split("\",").filter_map(|label| label.split_once("=\""));
    family.labels.extend(names.map(|(name, _)| name.to_owned()).filter(|name| name != "le"));
    Ok(())
}
