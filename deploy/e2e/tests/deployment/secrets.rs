//! What `deploy/` has for Compose, copied to a directory of the test, with secrets made there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::commands::{output, repository, run};

pub(crate) struct Secrets(TempDir);

impl Secrets {
    pub(crate) fn make() -> Result<Self> {
        let secrets = Self(tempfile::tempdir()?);
        fs::create_dir_all(secrets.deploy().join("migrate"))?;
        for name in ["compose.yaml", "compose", "haproxy", "prometheus", "migrate/superuser.sql"] {
            let (from, to) = (repository().join("deploy").join(name), secrets.deploy().join(name));
            run("cp", ["-r".as_ref(), from.as_os_str(), to.as_os_str()])?;
        }
        // A developer's own.
        let _none = fs::remove_dir_all(secrets.deploy().join("compose/secrets"));
        secrets.make_again()?;
        Ok(secrets)
    }

    pub(crate) fn make_again(&self) -> Result<()> {
        output(&mut self.script("make-secrets"))?;
        Ok(())
    }

    /// An access token with all scopes.
    pub(crate) fn token(&self) -> Result<String> {
        let scopes = "orders:place orders:pay orders:fulfil orders:cancel:any orders:read:any events:read";
        Ok(output(self.script("make-token").args(["tester", scopes]))?.trim().to_owned())
    }

    fn script(&self, name: &str) -> Command {
        Command::new(self.deploy().join("compose").join(name))
    }

    /// The copy of `deploy/`.
    pub(crate) fn deploy(&self) -> PathBuf {
        self.0.path().join("deploy")
    }

    /// What the service finds in `/run/secrets`.
    pub(crate) fn of(&self, service: &str) -> PathBuf {
        self.deploy().join("compose/secrets").join(service)
    }

    pub(crate) fn read(&self, service: &str, file: &str) -> Result<String> {
        read(&self.of(service).join(file))
    }

    /// What the script noted for Compose.
    pub(crate) fn variables(&self) -> Result<String> {
        read(&self.deploy().join(".env"))
    }
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| file.display().to_string())
}

#[test]
fn secrets_that_are_there_stay_and_nobody_else_may_read_them() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let secrets = Secrets::make()?;
    let files = [("postgres", "superuser_password"), ("write-api", "database_url"), ("haproxy", "tls.pem")];
    let read = || files.map(|(service, file)| secrets.read(service, file).unwrap_or_default());
    let first = read();
    assert!(
        first.iter().all(|text| text.trim().len() >= 48),
        "too short: {:?}",
        first.map(|text| text.len())
    );
    secrets.make_again()?;
    assert!(read() == first, "a secret has changed");
    for (service, file) in files {
        let mode = fs::metadata(secrets.of(service).join(file))?.permissions().mode();
        assert_eq!(mode & 0o027, 0, "{service}/{file}: {mode:o}");
    }
    assert!(secrets.variables()?.starts_with("SECRETS_GROUP="));
    Ok(())
}
