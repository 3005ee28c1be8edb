//! Each promise in SECURITY.md names tests, and each of these exists.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use regex::Regex;

fn read(path: &str) -> Result<String> {
    fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR")))
        .with_context(|| path.to_owned())
}

/// The files to which `[label]` leads.
fn files(document: &str) -> Result<BTreeMap<String, String>> {
    let definition = Regex::new(r"(?m)^\[([a-z_]+)\]: (\S+\.rs)$")?;
    let files = definition.captures_iter(document);
    Ok(files.map(|found| (found[1].to_owned(), found[2].to_owned())).collect())
}

/// The last cell of each row of the tables that end with `Tested in`.
fn promises(document: &str) -> Vec<&str> {
    let mut rows = Vec::new();
    let mut is_table_of_promises = false;
    for line in document.lines() {
        let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else {
            // The line below the head of a table has no blanks.
            is_table_of_promises &= line.starts_with('|');
            continue;
        };
        let last = cells.rsplit(" | ").next().unwrap_or_default();
        if is_table_of_promises {
            rows.push(last);
        }
        is_table_of_promises |= last == "Tested in";
    }
    rows
}

/// The label of a file and the functions in it: ``[label]: `one`, `two`; [other]: `three` ``.
fn tests(cell: &str) -> Result<Vec<(&str, &str)>> {
    let mut tests = Vec::new();
    for part in cell.split("; ") {
        let of_file = part.strip_prefix('[').and_then(|part| part.split_once("]: "));
        let (label, functions) = of_file.with_context(|| format!("{part:?} is no list of tests"))?;
        for function in functions.split(", ") {
            let name = function.strip_prefix('`').and_then(|function| function.strip_suffix('`'));
            tests.push((label, name.with_context(|| format!("{function:?} is no function"))?));
        }
    }
    Ok(tests)
}

/// Whether `source` has a test with this name.
fn has_test(source: &str, name: &str) -> Result<bool> {
    let test = format!(r"#\[(tokio::|actix_web::)?test\b[^\n]*\n(\s*#\[[^\n]*\n)*\s*(async )?fn {name}\(");
    Ok(Regex::new(&test)?.is_match(source))
}

/// What is wrong with the promises of `document`.
fn faults(document: &str) -> Result<Vec<String>> {
    let files = files(document)?;
    let mut faults = Vec::new();
    for (label, name) in promises(document).into_iter().map(tests).collect::<Result<Vec<_>>>()?.concat() {
        match files.get(label) {
            None => faults.push(format!("[{label}] leads nowhere")),
            Some(file) if !has_test(&read(file)?, name)? => faults.push(format!("{file} has no test {name}")),
            Some(_) => {}
        }
    }
    Ok(faults)
}

#[test]
fn every_promise_names_tests_that_exist() -> Result<()> {
    let document = read("SECURITY.md")?;
    let promises = promises(&document).len();
    assert!(promises >= 30, "only {promises} promises were found");
    assert_eq!(faults(&document)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_promise_without_a_test_is_found() -> Result<()> {
    let document = |tests: &str| {
        let file = "[security]: deploy/e2e/tests/security.rs";
        format!("| Word |\n|---|\n| x |\n\n| Promise | Tested in |\n|---|---|\n| p | {tests} |\n\n{file}\n")
    };
    let own = "`a_promise_without_a_test_is_found`";
    assert_eq!(faults(&document(&format!("[security]: {own}")))?, Vec::<String>::new());
    assert_eq!(faults(&document(&format!("[other]: {own}")))?, ["[other] leads nowhere"]);
    // A function that is no test.
    let helper = faults(&document(&format!("[security]: {own}, `faults`")))?;
    assert_eq!(helper, ["deploy/e2e/tests/security.rs has no test faults"]);
    for none in ["", "by hand", "[security]", "[security]: faults"] {
        assert!(faults(&document(none)).is_err(), "{none:?}");
    }
    Ok(())
}
