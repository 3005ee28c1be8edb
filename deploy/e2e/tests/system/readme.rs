//! The README's examples, run one after the other as a reader would paste them, on a system that has just been started.

mod examples;
mod pattern;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::Regex;
use testkit::postgres::open_to_the_servers_user;
use testkit::services::{ServiceBinaries, build_program};
use testkit::wait;

use self::examples::{Example, Step, blocks, examples};
use self::pattern::{compare, compare_heads, joined, pattern, split};

const README: &str = include_str!("../../../../README.md");

/// The block of the README that begins with this line.
pub(crate) fn block(first: &str) -> Result<String> {
    let mut blocks = blocks(README).into_iter().map(|(_, _, lines)| lines);
    let found = blocks.find(|lines| lines.first() == Some(&first));
    Ok(found.with_context(|| format!("the README has no block that begins with {first:?}"))?.join("\n"))
}

/// The text with another address or name in place of the one that the README shows.
pub(crate) fn replaced(text: &str, shown: &str, by: &str) -> Result<String> {
    ensure!(text.contains(shown), "there is no {shown:?} in {text}");
    Ok(text.replace(shown, by))
}

/// How long the read side may take to show a write, and the stream to bring it.
const SOON: Duration = Duration::from_secs(15);

/// The launcher, as `cargo run -p local` starts it, on ports that meet nobody.
struct Launcher {
    child: Child,
    /// What it has printed until everything ran.
    printed: String,
    _temp_dir: tempfile::TempDir,
}

impl Launcher {
    async fn start() -> Result<Self> {
        ServiceBinaries::built().await?;
        let temp_dir = tempfile::tempdir()?;
        open_to_the_servers_user(temp_dir.path())?;
        let mut command = Command::new(build_program("local").await?);
        command.args(["--no-build", "--write-port", "0", "--read-port", "0", "--admin-port", "0"]);
        command.env_remove("DATABASE_URL").env("TMPDIR", temp_dir.path());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut printed = String::new();
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        for line in lines.map_while(Result::ok).take_while(|line| !line.contains("Ctrl-C stops everything")) {
            printed.push_str(&line);
            printed.push('\n');
        }
        Ok(Self { child, printed, _temp_dir: temp_dir })
    }

    /// A command of the README, sent to where this system listens.
    fn addressed(&self, command: &str) -> Result<String> {
        let url = |service: &str| -> Result<&str> {
            let line = self.printed.lines().find(|line| line.starts_with(service)).context("no such line")?;
            line.split_whitespace().find(|word| word.starts_with("http://")).context("no URL")
        };
        Ok(command
            .replace("http://127.0.0.1:8081", url("write-api ")?)
            .replace("http://127.0.0.1:8082", url("read-api ")?))
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _already_gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _reaped = self.child.wait();
    }
}

/// A stream that goes on while other commands are run.
struct Stream {
    child: Child,
    output: std::path::PathBuf,
    /// How much of its output has been compared.
    compared: usize,
}

impl Stream {
    fn start(command: &str, directory: &Path) -> Result<Self> {
        let output = directory.join("stream");
        let out = std::fs::File::create(&output)?;
        // The shell gives way to curl, so that this child is the one to end.
        let child = Command::new("sh")
            .args(["-c", &format!("exec {command}")])
            .stdout(out)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, output, compared: 0 })
    }

    /// Waits until it has printed what is shown.
    async fn prints(&mut self, shown: &[String]) -> Result<()> {
        let (head, body) = split(shown.iter().map(String::as_str).collect());
        let body = Regex::new(&pattern(&joined(body))?)?;
        let end = wait::until("the stream", SOON, || {
            let printed = std::fs::read_to_string(&self.output).unwrap_or_default();
            let (printed_head, printed) = split(printed.lines().collect());
            let printed = joined(printed);
            let found = printed.get(self.compared..).and_then(|new| body.find(new).map(|found| found.end()));
            let has_head = if head.is_empty() { Ok(()) } else { compare_heads(&head, &printed_head) };
            std::future::ready(match (found, has_head) {
                (Some(end), Ok(())) => Ok(end),
                (_, Err(error)) => Err(format!("{error:#}")),
                (None, Ok(())) => Err(format!("no {body} in {printed}")),
            })
        });
        self.compared += end.await?;
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

async fn run(command: &str) -> Result<String> {
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(SOON, shell.output()).await.context("no end")??;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

async fn check(command: &str, shown: &[String]) -> Result<()> {
    let try_once = || async { compare(shown, &run(command).await?) };
    // The read side is some milliseconds behind, which nobody notices who pastes by hand. Nothing else is asked twice.
    let is_read = !command.contains(" -d ") && !command.contains(" -X ");
    match try_once().await {
        Err(_) if is_read => {
            let again = || async { try_once().await.map_err(|error| format!("{error:#}")) };
            Ok(wait::until("the answer", SOON, again).await?)
        }
        result => result,
    }
}

#[tokio::test]
async fn every_example_works_in_its_order_and_shows_what_it_says() -> Result<()> {
    let launcher = Launcher::start().await?;
    shows_its_demonstration(&launcher)?;
    if !has_curl()? {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let mut stream: Option<Stream> = None;
    let mut commands = 0;
    for Example { line, step, shown } in examples(README) {
        let checked = match step {
            Step::Command(command) if command.starts_with("curl -iN ") => {
                commands += 1;
                let mut started = Stream::start(&launcher.addressed(&command)?, directory.path())?;
                let checked = started.prints(&shown).await;
                stream = Some(started);
                checked
            }
            Step::Command(command) => {
                commands += 1;
                check(&launcher.addressed(&command)?, &shown).await
            }
            Step::MoreOfTheStream => stream.as_mut().context("no stream was opened")?.prints(&shown).await,
        };
        checked.with_context(|| format!("README.md, line {line}"))?;
    }
    assert!(commands >= 15, "only {commands} examples were found");
    Ok(())
}

/// The table that `cargo run -p local` prints.
fn shows_its_demonstration(launcher: &Launcher) -> Result<()> {
    let (_, line, shown) = blocks(README)
        .into_iter()
        .find(|(_, _, lines)| lines.first().is_some_and(|line| line.starts_with("order   ")))
        .context("the README shows no demonstration")?;
    let id = Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")?;
    let plain = |line: &str| {
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        id.replace(&words, "ID").into_owned()
    };
    let printed: Vec<_> = launcher.printed.lines().map(plain).collect();
    for shown in shown {
        let shown = Regex::new(&format!("^{}$", pattern(&plain(shown))?))?;
        let is_printed = printed.iter().any(|line| shown.is_match(line));
        ensure!(is_printed, "README.md, line {line}: {shown} is not in {printed:#?}");
    }
    Ok(())
}

/// What is run by other means: the whole test suite, and the launcher itself.
#[test]
fn no_other_command_is_shown_that_nobody_tries() {
    let commands = |language: &'static str| {
        blocks(README).into_iter().filter(move |block| block.0 == language).flat_map(|block| block.2)
    };
    let shown: Vec<_> =
        commands("sh").map(|line| line.split('#').next().unwrap_or_default().trim()).collect();
    assert_eq!(shown, ["cargo run -p local", "cargo test --workspace"]);
    let ci = include_str!("../../../../.ci/run");
    for command in shown {
        assert!(ci.contains(command), "{command}");
    }
    let has_other_shells = blocks(README).iter().any(|block| ["bash", "console", "shell"].contains(&block.0));
    assert!(!has_other_shells, "examples have no language, and a `$ ` in front of each command");
}

#[expect(clippy::print_stderr, reason = "cargo shows it beside the name of the test")]
fn has_curl() -> Result<bool> {
    let has_curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok();
    ensure!(has_curl || std::env::var_os("REQUIRE_CURL").is_none(), "there is no curl");
    if !has_curl {
        eprintln!("NOT TESTED, no curl: install Debian's package `curl`");
    }
    Ok(has_curl)
}
