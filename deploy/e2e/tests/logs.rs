//! docs/logs.md lists each message of WARN and ERROR that the sources have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use regex::Regex;

#[path = "logs/fields.rs"]
mod fields;

const DOCUMENT: &str = "docs/logs.md";

/// The sections of the document, and where the messages of each are.
const SECTIONS: [(&str, &[&str], &[&str]); 7] = [
    ("All processes", &["deploy/service-kit/src"], &[]),
    ("write-api", &["write-api/src"], &[]),
    ("read-api", &["read-api/src"], &[]),
    ("projector", &["projector/src"], &["projector/src/webhooks"]),
    ("projector: webhooks", &["projector/src/webhooks"], &[]),
    ("migrate", &["deploy/migrate/src"], &[]),
    ("The example", &["deploy/examples/revenue/src"], &[]),
];

/// The line of a process that fails, which no macro writes.
const FAILURES: (&str, [&str; 2]) =
    ("deploy/service-kit/src/process.rs", ["the configuration is wrong", "the process failed"]);

/// A level and a message.
type Entry = (String, String);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| path.to_owned())
}

/// The Rust files below `folder`, without tests.
fn sources(folder: &Path, without: &[&str], found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_left_out = without.iter().any(|without| path.ends_with(without));
        if path.is_dir() && name != "tests" && !is_left_out {
            sources(&path, without, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
    Ok(())
}

/// What is between the parentheses that begin before `text`.
fn arguments(text: &str) -> Result<&str> {
    let (mut depth, mut in_text, mut escaped) = (1_usize, false, false);
    for (at, one) in text.char_indices() {
        match one {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            '(' if !in_text => depth += 1,
            ')' if !in_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(text.get(..at).unwrap_or_default());
        }
    }
    bail!("{text:?} has no end")
}

/// The message is the last argument.
fn message(arguments: &str) -> Result<String> {
    let literal = Regex::new(r#"(?s)(?:^|,)\s*"((?:[^"\\]|\\.)*)"\s*,?\s*$"#)?;
    let found = literal.captures(arguments).with_context(|| format!("{arguments:?} has no message"))?;
    let message = Regex::new(r"\\\n\s*")?.replace_all(&found[1], "").into_owned();
    // A value in the message would make each line another one.
    anyhow::ensure!(!message.contains('{'), "{message:?} has a value");
    Ok(message)
}

fn messages(source: &str) -> Result<BTreeSet<Entry>> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let call = Regex::new(r"\b(warn|error|event)!\(")?;
    let mut found = BTreeSet::new();
    for call in call.captures_iter(source) {
        let level = call[1].to_uppercase();
        let end = call.get(0).context("a match has a whole")?.end();
        let arguments = arguments(source.get(end..).unwrap_or_default())?;
        found.insert((level, message(arguments)?));
    }
    Ok(found)
}

fn messages_of(folders: &[&str], without: &[&str]) -> Result<BTreeSet<Entry>> {
    let mut files = Vec::new();
    for folder in folders {
        sources(&root().join(folder), without, &mut files)?;
    }
    let mut found = BTreeSet::new();
    for file in files {
        let source = fs::read_to_string(&file)?;
        found.extend(messages(&source).with_context(|| file.display().to_string())?);
    }
    Ok(found)
}

/// The entries of a section; each has a meaning and a remedy.
fn documented(document: &str, section: &str) -> Result<BTreeSet<Entry>> {
    let begin = format!("\n### {section}\n");
    let (_, section) = document.split_once(&begin).with_context(|| format!("no section {section}"))?;
    let section = section.split("\n### ").next().unwrap_or_default();
    let mut found = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| WARN") || line.starts_with("| ERROR")) {
        let cells: Vec<_> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [level, message, meaning, remedy] = cells[..] else { bail!("{row:?} has not four cells") };
        anyhow::ensure!(meaning.len() > 10 && remedy.len() > 5, "{row:?} says too little");
        anyhow::ensure!(found.insert((level.to_owned(), message.to_owned())), "{message:?} is there twice");
    }
    Ok(found)
}

#[test]
fn each_warning_and_error_is_documented_with_meaning_and_remedy() -> Result<()> {
    let document = read(DOCUMENT)?;
    for (section, folders, without) in SECTIONS {
        let mut found = messages_of(folders, without)?;
        if section == "All processes" {
            let (file, failures) = FAILURES;
            let source = read(file)?;
            for failure in failures {
                assert!(source.contains(&format!("\"{failure}\"")), "{failure}");
                found.insert(("ERROR".to_owned(), failure.to_owned()));
            }
        }
        assert!(!found.is_empty(), "{section}");
        let documented = documented(&document, section)?;
        let missing: Vec<_> = found.difference(&documented).collect();
        let gone: Vec<_> = documented.difference(&found).collect();
        assert!(
            missing.is_empty() && gone.is_empty(),
            "{section}: not in {DOCUMENT}: {missing:#?}; not in the sources: {gone:#?}"
        );
    }
    Ok(())
}

#[test]
fn the_message_of_every_form_of_a_line_is_found() -> Result<()> {
    let one = |level: &str, message: &str| BTreeSet::from([(level.to_owned(), message.to_owned())]);
    for (source, expected) in [
        (r#"tracing::warn!("plain");"#, one("WARN", "plain")),
        (r#"error!(times, error = f("(a"), "last");"#, one("ERROR", "last")),
        ("warn!(\n    a = %b,\n    \"over \\\n     two lines\",\n)", one("WARN", "over two lines")),
        (r#"info!("not one")"#, BTreeSet::new()),
    ] {
        assert_eq!(messages(source)?, expected, "{source}");
    }
    for source in [r#"warn!("with {value}")"#, "warn!(error = e)"] {
        assert!(messages(source).is_err(), "{source}");
    }
    Ok(())
}
