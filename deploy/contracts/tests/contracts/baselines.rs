//! The contracts of this build, and their baselines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use contracts::baseline::{Baselines, Contract};
use contracts::changelog::Changelog;
use contracts::{events, message, openapi};
use serde::Serialize;
use serde_json::Value;

/// Every contract. To add one, add a line here, and run this test with `UPDATE_CONTRACTS=1`.
pub(crate) fn contracts() -> Result<Vec<Contract>> {
    Ok(vec![
        Contract { name: "events", present: shared_events::schema(), breaks: events::breaks },
        api("projector", &projector::feed::document())?,
        api("revenue-api", &revenue::api::document())?,
        api("read-api", &read_api::adapter::http::document())?,
        Contract {
            name: "webhooks",
            present: projector::webhooks::message::schema(),
            breaks: message::breaks,
        },
        api("write-api", &write_api::adapter::http::document())?,
    ])
}

fn api(name: &'static str, document: &impl Serialize) -> Result<Contract> {
    Ok(Contract { name, present: serde_json::to_value(document)?, breaks: openapi::breaks })
}

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn baselines() -> (PathBuf, Baselines) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("baselines");
    let baselines = Baselines::new(&folder);
    (folder, baselines)
}

/// With `UPDATE_CONTRACTS=1` it writes the baselines first, if the changelog allows it.
#[test]
fn every_contract_keeps_what_its_baseline_promises() -> Result<()> {
    let changelog = Changelog::parse(&fs::read_to_string(workspace().join("CHANGELOG.md"))?);
    let (_, baselines) = baselines();
    let mut broken = Vec::new();
    for contract in contracts()? {
        let updated = match std::env::var_os("UPDATE_CONTRACTS") {
            Some(_) => baselines.update(&contract, &changelog),
            None => Ok(()),
        };
        if let Err(error) = updated.and_then(|()| baselines.check(&contract, &changelog)) {
            broken.push(error.to_string());
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    Ok(())
}

#[test]
fn every_baseline_has_a_contract() -> Result<()> {
    let (folder, baselines) = baselines();
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        files.extend(name.to_str().context("a name in UTF-8")?.strip_suffix(".json").map(str::to_owned));
    }
    files.remove("records");
    let known: BTreeSet<_> = contracts()?.iter().map(|contract| contract.name.to_owned()).collect();
    assert_eq!(files, known);
    assert_eq!(BTreeSet::from_iter(baselines.names()?), known);
    Ok(())
}

#[test]
fn the_documents_have_what_the_rules_compare() -> Result<()> {
    for contract in contracts()? {
        let (part, fewest) = match contract.name {
            "events" => ("/$defs", 4),
            "projector" => ("/paths", 1),
            "revenue-api" => ("/paths", 2),
            "webhooks" => ("/properties", 2),
            _ => ("/paths", 4),
        };
        let members = contract.present.pointer(part).and_then(Value::as_object);
        assert!(members.is_some_and(|members| members.len() >= fewest), "{}", contract.name);
    }
    Ok(())
}
