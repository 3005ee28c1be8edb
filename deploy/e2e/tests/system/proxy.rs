//! A real load balancer in front of the services.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use testkit::ports;
use testkit::process::bind_to_this_thread;
use testkit::wait;

/// A running proxy. Dropping it ends the proxy.
pub(crate) struct Proxy {
    child: Child,
    dir: tempfile::TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The program, or `None` if it is missing and not required.
pub(crate) fn find(name: &str) -> Result<Option<PathBuf>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places.map(|place| place.join(name)).find(|program| program.is_file());
    if found.is_none() {
        if std::env::var_os("REQUIRE_PROXIES").is_some() {
            bail!("there is no {name}, and REQUIRE_PROXIES is set");
        }
        writeln!(std::io::stderr(), "skipped: there is no {name} on this machine")?;
    }
    Ok(found)
}

/// Ports that are free now.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let ports: Vec<_> = (0..N).map(|_| ports::free()).collect::<Result<_, _>>()?;
    ports.try_into().ok().context("a port is missing")
}

impl Proxy {
    /// Starts it with the configuration that `text` returns for its directory, and waits until `port` is open.
    pub(crate) async fn start(
        program: &Path,
        arguments: &[&str],
        port: u16,
        text: impl FnOnce(&Path) -> String,
    ) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("proxy.conf");
        fs::write(&config, text(dir.path()))?;
        let log = fs::File::create(dir.path().join("log"))?;
        let mut command = Command::new(program);
        command.args(arguments).arg(&config).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        bind_to_this_thread(&mut command, Signal::SIGKILL);
        let mut proxy = Self { child: command.spawn()?, dir };
        wait::until("the proxy to listen", Duration::from_secs(30), || {
            let ended = proxy.child.try_wait();
            let log = fs::read_to_string(proxy.dir.path().join("log")).unwrap_or_default();
            async move {
                let open = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
                if open.is_ok() { Ok(()) } else { Err(format!("{ended:?} {log}")) }
            }
        })
        .await?;
        Ok(proxy)
    }
}
