//! A server with TLS, its CA, and roles with a password.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use service_kit::database::{ConnectError, Wire, connect};
use service_kit::telemetry::chain;
use testkit::certificates::{Authority, Identity, Validity};
use testkit::postgres::PasswordServer;
use testkit::wait;
use tokio_postgres::Client;

pub(crate) const HOST: &str = "db.test";
pub(crate) const PASSWORD: &str = "hunter2-of-the-database";
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A server whose certificate is for [`HOST`], at 127.0.0.1. Everything ends with this value.
pub(crate) struct Scene {
    pub(crate) ca: Authority,
    pub(crate) server: PasswordServer,
    dir: tempfile::TempDir,
}

impl Scene {
    /// `None`, with a message, if this PostgreSQL was built without TLS, as the one that the tests fetch.
    #[expect(clippy::print_stderr, reason = "cargo shows it beside the name of the test")]
    pub(crate) async fn start() -> Result<Option<Self>> {
        let (ca, dir) = (Authority::new("the CA")?, tempfile::tempdir()?);
        let server = match PasswordServer::start(&ca.issue(&[HOST], Validity::Now)?, &ca.certificate()) {
            Err(error) if chain(&error).contains("SSL is not supported by this build") => {
                let missing = "this PostgreSQL has no TLS: install Debian's package `postgresql`";
                ensure!(std::env::var_os("REQUIRE_TLS").is_none(), missing);
                eprintln!("NOT TESTED, {missing}");
                return Ok(None);
            }
            started => started?,
        };
        server.offer_tls(true).await?;
        for role in ["app", "scram", "certified"] {
            server.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")).await?;
        }
        let scene = Self { ca, server, dir };
        scene.write("ca.pem", &scene.ca.certificate())?;
        wait::until("the server to offer TLS", LIMIT, async || {
            refusal(&scene.url("app")).await.map_or(Ok(()), Err)
        })
        .await?;
        Ok(Some(scene))
    }

    /// A file that only this user can read.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let file = self.file(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        Ok(file)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write_identity(&self, name: &str, identity: &Identity) -> Result<(PathBuf, PathBuf)> {
        let certificate = self.write(&format!("{name}.crt"), &identity.certificate)?;
        Ok((certificate, self.write(&format!("{name}.key"), &identity.key)?))
    }

    /// Verifies with the CA of the scene.
    pub(crate) fn url(&self, role: &str) -> String {
        url_at(self.server.port(), HOST, role, &self.file("ca.pem"))
    }
}

pub(crate) fn url_at(port: u16, host: &str, role: &str, ca: &Path) -> String {
    format!(
        "postgres://{role}:{PASSWORD}@{host}:{port}/postgres?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}",
        ca.display()
    )
}

/// A session, whose connection is polled by a task.
pub(crate) async fn session(url: &str) -> Result<Client, ConnectError> {
    let (client, wire): (Client, Wire) = connect(url).await?;
    tokio::spawn(wire);
    Ok(client)
}

/// Why a connection is refused, as the log shows it.
pub(crate) async fn refusal(url: &str) -> Option<String> {
    session(url).await.err().map(|error| chain(&error))
}
