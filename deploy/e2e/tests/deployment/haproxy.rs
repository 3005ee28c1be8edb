//! The configuration of `HAProxy` is valid.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::commands::{output, repository};
use crate::secrets::Secrets;

/// The program, or `None` if it is missing and not required.
fn haproxy() -> Result<Option<PathBuf>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places.map(|place| place.join("haproxy")).find(|program| program.is_file());
    if found.is_none() {
        let missing = "no haproxy: install Debian's package `haproxy`";
        ensure!(std::env::var_os("REQUIRE_PROXIES").is_none(), missing);
        writeln!(std::io::stderr(), "NOT TESTED, {missing}")?;
    }
    Ok(found)
}

#[test]
fn the_configuration_is_valid() -> Result<()> {
    let Some(program) = haproxy()? else { return Ok(()) };
    let secrets = Secrets::make()?;
    let text = fs::read_to_string(repository().join("deploy/haproxy/haproxy.cfg"))?;
    let tls = secrets.of("haproxy").join("tls.pem");
    let text = text.replace("/run/secrets/tls.pem", &tls.display().to_string());
    let file = tempfile::NamedTempFile::new()?;
    fs::write(&file, text)?;
    output(Command::new(program).arg("-c").arg("-f").arg(file.path()).current_dir(repository()))?;
    Ok(())
}
