//! Baselines change only by an update, and a break only with an item in the changelog.

use std::fs;

use anyhow::{Context, Result};
use contracts::baseline::{Baselines, Contract, ContractError};
use contracts::changelog::Changelog;
use contracts::openapi;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::edit::Edit::{self, Remove, Set};

const PATH: &str = "/paths/~1orders";
const STATUS: &str = "/paths/~1orders/get/responses/404";

fn document() -> Value {
    json!({"paths": {"/orders": {"get": {"responses": {
        "200": {"description": "All."},
        "404": {"description": "None."},
    }}}}})
}

fn api(present: Value) -> Contract {
    Contract { name: "write-api", present, breaks: openapi::breaks }
}

fn changed(edit: &Edit) -> Contract {
    api(edit.apply(&document()))
}

/// A changelog with this item under "Breaking" in this version.
fn changelog(version: &str, item: &str) -> Changelog {
    Changelog::parse(&format!("## {version}\n\n### Breaking\n\n- {item}\n"))
}

fn empty() -> Changelog {
    Changelog::parse("## Unreleased\n")
}

/// A folder with a baseline of [`document`].
fn baseline() -> Result<(TempDir, Baselines)> {
    let folder = tempfile::tempdir()?;
    let baselines = Baselines::new(folder.path());
    baselines.update(&api(document()), &empty())?;
    Ok((folder, baselines))
}

fn text(folder: &TempDir) -> Result<String> {
    Ok(fs::read_to_string(folder.path().join("write-api.json"))?)
}

#[test]
fn a_contract_without_a_baseline_is_not_checked_in_silence() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let baselines = Baselines::new(folder.path());
    let error = baselines.check(&api(document()), &empty()).err().context("passed")?;
    assert!(matches!(error, ContractError::Missing("write-api")), "{error}");
    baselines.update(&api(document()), &empty())?;
    assert_eq!(baselines.names()?, ["write-api"]);
    Ok(baselines.check(&api(document()), &empty())?)
}

#[test]
fn a_compatible_change_passes_with_the_old_baseline_and_with_a_new_one() -> Result<()> {
    let (folder, baselines) = baseline()?;
    let wider = changed(&Set("/paths/~1items", json!({})));
    let before = text(&folder)?;
    baselines.check(&wider, &empty())?;
    assert_eq!(text(&folder)?, before);

    baselines.update(&wider, &empty())?;
    assert_ne!(text(&folder)?, before);
    baselines.check(&wider, &empty())?;
    // It is a promise now.
    assert!(baselines.check(&api(document()), &empty()).is_err());
    Ok(())
}

#[test]
fn a_break_fails_with_its_rule_and_place_whatever_the_changelog_says() -> Result<()> {
    let (_folder, baselines) = baseline()?;
    for changelog in [empty(), changelog("Unreleased", "write-api: no more `404`.")] {
        let error = baselines.check(&changed(&Remove(STATUS)), &changelog).err().context("passed")?;
        assert!(error.to_string().contains(&format!("response-status-removed `404` at {STATUS}")), "{error}");
    }
    Ok(())
}

#[test]
fn an_update_refuses_a_break_that_the_changelog_does_not_name() -> Result<()> {
    let (folder, baselines) = baseline()?;
    let before = text(&folder)?;
    for changelog in [
        empty(),
        changelog("Unreleased", "write-api: something else."),
        changelog("Unreleased", "read-api: no more `404`."),
        changelog("1.0.0", "write-api: no more `404`."),
    ] {
        let error = baselines.update(&changed(&Remove(STATUS)), &changelog).err().context("updated")?;
        assert!(matches!(error, ContractError::NotInChangelog { .. }), "{error}");
        assert_eq!(text(&folder)?, before);
    }
    Ok(())
}

#[test]
fn a_break_passes_with_a_new_baseline_as_long_as_the_changelog_names_it() -> Result<()> {
    let (_folder, baselines) = baseline()?;
    let (present, item) = (changed(&Remove(STATUS)), "write-api: no more `404`.");
    baselines.update(&present, &changelog("Unreleased", item))?;
    baselines.check(&present, &changelog("Unreleased", item))?;
    // The release takes the item along.
    baselines.check(&present, &changelog("1.0.0", item))?;

    let error = baselines.check(&present, &empty()).err().context("the item is gone")?;
    assert!(matches!(error, ContractError::NotInChangelog { .. }), "{error}");
    // Nor does the next update forget it.
    baselines.update(&present, &empty())?;
    assert!(baselines.check(&present, &empty()).is_err());
    Ok(())
}

#[test]
fn every_break_needs_its_own_item() -> Result<()> {
    let (_folder, baselines) = baseline()?;
    let both = Remove("/paths/~1orders/get/responses/200").apply(&Remove(STATUS).apply(&document()));
    let error = baselines.update(&api(both), &changelog("Unreleased", "write-api: no more `404`.")).err();
    let Some(ContractError::NotInChangelog { breaks, .. }) = error else { anyhow::bail!("{error:?}") };
    assert_eq!(breaks.iter().map(|broken| broken.name.as_str()).collect::<Vec<_>>(), ["200"]);
    Ok(())
}

#[test]
fn a_baseline_that_another_hand_changed_or_removed_is_refused() -> Result<()> {
    let (folder, baselines) = baseline()?;
    let file = folder.path().join("write-api.json");
    let without = changed(&Remove(PATH));
    for edited in [Some(format!("{:#}\n", without.present)), None] {
        match edited {
            Some(text) => fs::write(&file, text)?,
            None => fs::remove_file(&file)?,
        }
        for result in [baselines.check(&without, &empty()), baselines.update(&without, &empty())] {
            let error = result.err().context("passed")?;
            assert!(matches!(error, ContractError::Edited("write-api")), "{error}");
        }
    }
    Ok(())
}
