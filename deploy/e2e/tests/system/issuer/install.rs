//! The issuer's library, fetched once per build directory.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use testkit::process::bind_to_this_thread;
use tokio::sync::OnceCell;

const LOCK_FILE: &str = "package-lock.json";
const OLDEST_NODE: u32 = 20;

/// The directory from which the issuer's script finds the library; `None` without Node.js.
pub(super) async fn directory() -> Result<Option<&'static Path>> {
    static DIRECTORY: OnceCell<Option<PathBuf>> = OnceCell::const_new();
    Ok(DIRECTORY.get_or_try_init(install).await?.as_deref())
}

async fn install() -> Result<Option<PathBuf>> {
    if !has_programs() {
        let missing = format!("there is no npm, or no Node.js of version {OLDEST_NODE} or newer");
        ensure!(env::var_os("REQUIRE_ISSUER").is_none(), "{missing}");
        writeln!(std::io::stderr(), "skipped: {missing}")?;
        return Ok(None);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("issuer");
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = parent.join("issuer");
    let lock_file = fs::read(source.join(LOCK_FILE))?;
    let is_installed = || fs::read(directory.join(LOCK_FILE)).is_ok_and(|found| found == lock_file);
    if !is_installed() {
        let fresh = tempfile::tempdir_in(parent)?;
        for name in ["package.json", LOCK_FILE] {
            fs::copy(source.join(name), fresh.path().join(name))?;
        }
        run_npm(fresh.path()).await?;
        let _there_was_none = fs::remove_dir_all(&directory);
        // In one step: what is there is whole. Another test program may have been faster.
        let moved = fs::rename(fresh.path(), &directory);
        ensure!(is_installed(), "the library cannot be moved: {moved:?}");
    }
    Ok(Some(directory))
}

fn has_programs() -> bool {
    let version = |program| Command::new(program).arg("--version").output().ok().filter(succeeded);
    let node = version("node").and_then(|output| {
        let text = String::from_utf8(output.stdout).ok()?;
        text.strip_prefix('v')?.split('.').next()?.parse().ok()
    });
    node.is_some_and(|major: u32| major >= OLDEST_NODE) && version("npm").is_some()
}

fn succeeded(output: &Output) -> bool {
    output.status.success()
}

async fn run_npm(directory: &Path) -> Result<()> {
    let mut command = Command::new("npm");
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
    command.current_dir(directory).stdin(Stdio::null());
    bind_to_this_thread(&mut command, Signal::SIGTERM);
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await.context("npm")?;
    ensure!(succeeded(&output), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
