//! `docs/runbook.md` has a section for each alert, with all that an operator needs.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::repository;
use crate::rules::all_rules;

const PARTS: [&str; 4] = ["**Meaning.** ", "**First look.** ", "**Remedy.** ", "**It worked.** "];

#[test]
fn each_alert_has_its_section_with_four_parts_and_each_section_an_alert() -> Result<()> {
    let document = std::fs::read_to_string(repository("docs/runbook.md"))?;
    let sections: Vec<_> = document.split("\n### ").skip(1).collect();
    let mut documented = BTreeSet::new();
    for section in sections {
        let (name, text) = section.split_once('\n').context("a heading alone")?;
        let text = text.split("\n## ").next().unwrap_or_default();
        assert!(documented.insert(name.to_owned()), "{name} is there twice");
        let mut rest = text;
        for part in PARTS {
            let (before, after) = rest.split_once(part).with_context(|| format!("{name}: no {part}"))?;
            assert!(!before.contains(part) && after.len() > 20, "{name}: {part}");
            rest = after;
        }
        let look = text.split(PARTS[2]).next().unwrap_or_default();
        assert!(look.contains("\n```sh norun: "), "{name}: no command for the first look");
        assert!(rest.contains("\n```sh norun: "), "{name}: no command that shows that it worked");
    }
    let alerts: BTreeSet<_> = all_rules()?.into_iter().filter_map(|rule| rule.alert).collect();
    assert_eq!(documented, alerts);
    Ok(())
}

/// An address that stays set would be that of the commands of other sections.
#[test]
fn only_the_first_block_sets_variables_for_the_rest() -> Result<()> {
    let document = std::fs::read_to_string(repository("docs/runbook.md"))?;
    let (beginning, sections) = document.split_once("\n## From the symptom").context("no sections")?;
    assert!(beginning.contains("\nexport DATABASE_URL="));
    for line in sections.lines().map(str::trim_start) {
        assert!(!line.starts_with("export "), "stays set: {line}");
    }
    Ok(())
}
