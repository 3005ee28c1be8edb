//! A stream that goes on while other examples run.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Result;
use regex::Regex;
use testkit::wait;

use super::SOON;
use super::pattern::{compare_heads, joined, pattern, split};

pub(super) struct Stream {
    child: Child,
    output: std::path::PathBuf,
    /// How much of its output has been compared.
    compared: usize,
}

impl Stream {
    pub(super) fn start(command: &str, directory: &Path) -> Result<Self> {
        let output = directory.join("stream");
        let out = std::fs::File::create(&output)?;
        // `exec` replaces the shell by curl: killing the child then ends curl.
        let child = Command::new("sh")
            .args(["-c", &format!("exec {command}")])
            .stdout(out)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, output, compared: 0 })
    }

    /// Waits until it has printed the documented output.
    pub(super) async fn prints(&mut self, shown: &[String]) -> Result<()> {
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
