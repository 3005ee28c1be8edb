//! Conventions that no other tool checks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// As in `.editorconfig`.
const MAX_COLUMNS: usize = 120;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All files with this extension, except build output and hidden folders.
fn files(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path, extension)?);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    Ok(found)
}

/// The numbers of the lines that are too long.
fn long_lines<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<usize> {
    lines.filter(|(_, line)| line.chars().count() > MAX_COLUMNS).map(|(number, _)| number).collect()
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

/// The lines of a document that can be wrapped: no tables, no lines with a link, no printed output.
fn wrappable(document: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    numbered(document).filter(move |(_, line)| {
        let text = line.trim_start();
        if let Some(language) = text.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language) };
            return false;
        }
        let is_output = fence.is_some_and(|language| language.is_empty() || language.starts_with("text"));
        let has_link = text.contains("](") || text.contains("://");
        !(is_output || fence.is_none() && (text.starts_with('|') || has_link))
    })
}

#[test]
fn no_line_is_longer_than_120_columns() -> Result<()> {
    let root = workspace().canonicalize()?;
    let mut offenders = Vec::new();
    for extension in ["rs", "sql", "md"] {
        let found = files(&root, extension)?;
        assert!(!found.is_empty(), "no {extension} files");
        for file in found {
            let text = fs::read_to_string(&file)?;
            let long =
                if extension == "md" { long_lines(wrappable(&text)) } else { long_lines(numbered(&text)) };
            let name = file.strip_prefix(&root)?.display();
            offenders.extend(long.iter().map(|number| format!("{name}:{number}")));
        }
    }
    assert!(offenders.is_empty(), "{} lines to wrap:\n{}", offenders.len(), offenders.join("\n"));
    Ok(())
}

#[test]
fn tables_links_and_printed_output_may_be_longer() {
    let long = "x".repeat(MAX_COLUMNS + 1);
    let document = format!("{long}\n| {long} |\n[{long}](a.md)\n```text\n{long}\n```\n```sh\n{long}\n```\n");
    assert_eq!(long_lines(wrappable(&document)), [1, 8]);
}
