//! The shell examples of all documents, run in order as a reader would paste them, on one system that has just been
//! started.

mod checklist;
mod examples;
mod files;
mod launcher;
mod links;
mod pattern;
mod stream;

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::curl::has_curl;
use testkit::wait;

use self::examples::{Block, Example, Step, blocks, examples};
use self::files::{Document, documents, root};
use self::launcher::Launcher;
pub(crate) use self::pattern::compare;
use self::stream::Stream;

/// How long a read may lag a write, and a stream a change.
const SOON: Duration = Duration::from_secs(15);

/// The longest README that a newcomer reads to its end.
const MAX_README_LINES: usize = 130;

/// The block of a document that begins with `first`.
pub(crate) fn block(path: &str, first: &str) -> Result<String> {
    let document = Document::read(path)?;
    let found = blocks(&document.text).into_iter().find(|block| block.lines.first() == Some(&first));
    Ok(found.with_context(|| format!("{path} has no block that begins with {first:?}"))?.lines.join("\n"))
}

/// The commands of a document that need another system than the launcher's, each with the output below it.
pub(crate) fn examples_of_another_system(path: &str) -> Result<Vec<(String, Vec<String>)>> {
    let document = Document::read(path)?;
    let blocks = blocks(&document.text);
    let pairs = blocks.iter().zip(blocks.iter().skip(1));
    let pairs = pairs
        .filter(|(command, output)| command.language.starts_with("sh norun: ") && output.language == "text");
    let owned = |block: &Block<'_>| block.lines.iter().map(|line| (*line).to_owned()).collect();
    Ok(pairs.map(|(command, output)| (command.lines.join("\n"), owned(output))).collect())
}

/// The text with the test's address or name in place of the documented one.
pub(crate) fn replaced(text: &str, documented: &str, by: &str) -> Result<String> {
    ensure!(text.contains(documented), "there is no {documented:?} in {text}");
    Ok(text.replace(documented, by))
}

async fn run(command: &str) -> Result<String> {
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-ec", command]).current_dir(root()).stdin(Stdio::null());
    let output = tokio::time::timeout(SOON, shell.stderr(Stdio::piped()).kill_on_drop(true).output());
    let output = output.await.context("the command did not end")??;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

async fn run_and_compare(command: &str, shown: &[String]) -> Result<()> {
    let try_once = || async { compare(shown, &run(command).await?) };
    // Reads lag writes by milliseconds, too short for a reader who pastes by hand. Writes are tried once.
    let is_read = !command.contains(" -d ") && !command.contains(" -X ");
    match try_once().await {
        Err(_) if is_read => {
            let again = || async { try_once().await.map_err(|error| format!("{error:#}")) };
            Ok(wait::until("the documented output", SOON, again).await?)
        }
        result => result,
    }
}

/// Runs the examples of one document and returns how many commands there were.
async fn run_examples(document: &Document, launcher: &Launcher) -> Result<usize> {
    let directory = tempfile::tempdir()?;
    let mut stream: Option<Stream> = None;
    let mut commands = 0;
    for Example { line, step, shown } in examples(&document.text) {
        let compared = match step {
            Step::Launch => launcher.compare_demonstration(&shown),
            Step::Command(command) if command.starts_with("curl -iN ") => {
                commands += 1;
                let mut started = Stream::start(&launcher.addressed(&command)?, directory.path())?;
                let compared = started.prints(&shown).await;
                stream = Some(started);
                compared
            }
            Step::Command(command) => {
                commands += 1;
                run_and_compare(&launcher.addressed(&command)?, &shown).await
            }
            Step::StreamContinues => stream.as_mut().context("no stream was opened")?.prints(&shown).await,
        };
        compared.with_context(|| format!("{}, line {line}", document.path))?;
    }
    Ok(commands)
}

#[tokio::test]
async fn every_example_works_in_order_and_prints_what_the_document_shows() -> Result<()> {
    if !has_curl()? {
        return Ok(());
    }
    let launcher = Launcher::start().await?;
    let mut commands = 0;
    for document in documents()? {
        commands += run_examples(&document, &launcher).await?;
    }
    assert!(commands >= 20, "only {commands} examples were found");
    Ok(())
}

#[test]
fn every_block_has_a_language_and_every_example_that_is_not_run_a_reason() -> Result<()> {
    for document in documents()? {
        for Block { language, line, .. } in blocks(&document.text) {
            let is_tested =
                ["sh", "text", "js", "python", "rust", "sql", "haproxy", "nginx", "promql", "yaml"]
                    .contains(&language);
            let has_reason = language.strip_prefix("sh norun: ").is_some_and(|reason| reason.len() > 10);
            assert!(is_tested || has_reason, "{}, line {line}: {language:?}", document.path);
        }
    }
    Ok(())
}

/// The two commands that this test cannot run, because it runs inside them or uses what they start.
#[test]
fn ci_runs_the_launcher_and_the_test_suite_as_documented() -> Result<()> {
    let ci = std::fs::read_to_string(root().join(".ci/run"))?;
    for (path, command) in
        [("README.md", "cargo run -p local"), ("CONTRIBUTING.md", "cargo test --workspace")]
    {
        block(path, command)?;
        assert!(ci.contains(command), "{command}");
    }
    Ok(())
}

/// The documented skeleton of a read model has the signature of one that is compiled.
#[test]
fn the_documented_projection_implements_the_trait() -> Result<()> {
    let signature = |code: &str| -> Result<String> {
        let start = code.find("fn apply<'a>(").context("no `apply`")?;
        let signature = code[start..].split('{').next().unwrap_or_default();
        Ok(signature.split_whitespace().collect())
    };
    let documented = block("docs/read-models.md", "   pub struct OrdersBySku;")?;
    let compiled = std::fs::read_to_string(root().join("deploy/examples/revenue/src/projection/mod.rs"))?;
    assert_eq!(signature(&documented)?, signature(&compiled)?);
    Ok(())
}

#[test]
fn every_link_and_every_path_leads_somewhere() -> Result<()> {
    let dead: Vec<_> = documents()?.iter().flat_map(links::dead).collect();
    assert!(dead.is_empty(), "{dead:#?}");
    Ok(())
}

#[test]
fn the_readme_is_short() -> Result<()> {
    let lines = Document::read("README.md")?.text.lines().count();
    assert!(lines <= MAX_README_LINES, "README.md has {lines} lines");
    Ok(())
}

#[test]
fn every_yaml_of_a_document_is_valid() -> Result<()> {
    for document in documents()? {
        for block in blocks(&document.text).iter().filter(|block| block.language == "yaml") {
            let is_valid = |text: &str| serde_saphyr::from_str::<serde_json::Value>(text).map(drop);
            let text = block.lines.join("\n");
            for part in text.split("\n---\n") {
                is_valid(part).with_context(|| format!("{}, line {}", document.path, block.line))?;
            }
        }
    }
    Ok(())
}
