//! A server that asks for passwords, with or without TLS.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, chown};
use tokio_postgres::NoTls;

use super::error::{ServerError, prepare};
use super::{PrivateServer, SUPERUSER};
use crate::certificates::Identity;

/// Roles must give their password in clear, so that a test sees one that was sent; those whose name begins with `scram`
/// do not, and `certified` needs a certificate. The superuser needs nothing.
const RULES: &str = "local   all all                    trust\n\
                     host    all postgres 127.0.0.1/32  trust\n\
                     hostssl all certified 127.0.0.1/32 cert\n\
                     hostssl all scram 127.0.0.1/32     scram-sha-256\n\
                     host    all all 127.0.0.1/32       password\n";

/// Those that a PostgreSQL without TLS knows.
const RULES_IN_CLEAR: &str = "local all all                   trust\n\
                              host  all postgres 127.0.0.1/32 trust\n\
                              host  all all 127.0.0.1/32      password\n";

/// A throwaway server at 127.0.0.1 that asks for passwords.
#[derive(Debug)]
pub struct PasswordServer {
    server: PrivateServer,
    /// The server's certificate and key.
    file: PathBuf,
    user: Option<(Uid, Gid)>,
}

impl PasswordServer {
    /// With and without TLS, with this certificate; `client_ca` issues those of clients. Blocks, and is bound to the
    /// calling thread, as [`PrivateServer::start`].
    ///
    /// # Errors
    ///
    /// [`ServerError`]; nothing is left running.
    pub fn start(identity: &Identity, client_ca: &str) -> Result<Self, ServerError> {
        let (mut file, mut user) = (PathBuf::new(), None);
        let server = PrivateServer::start_on_tcp_with(|layout| {
            (file, user) = (layout.data_dir.join("server.pem"), layout.user);
            let ca = layout.data_dir.join("client-ca.pem");
            let written = fs::write(layout.data_dir.join("pg_hba.conf"), RULES)
                .and_then(|()| fs::write(&ca, client_ca))
                .and_then(|()| fs::set_permissions(&ca, Permissions::from_mode(0o644)))
                .and_then(|()| write(&file, identity, user));
            written.map_err(prepare("the server's certificates"))?;
            let file = file.display();
            Ok(vec![
                format!("ssl_cert_file={file}"),
                format!("ssl_key_file={file}"),
                format!("ssl_ca_file={}", ca.display()),
            ])
        })?;
        Ok(Self { server, file, user })
    }

    /// One that never offers TLS, and works with a PostgreSQL that was built without. Otherwise as [`Self::start`].
    ///
    /// # Errors
    ///
    /// [`ServerError`]; nothing is left running.
    pub fn start_without_tls() -> Result<Self, ServerError> {
        let server = PrivateServer::start_on_tcp_with(|layout| {
            let written = fs::write(layout.data_dir.join("pg_hba.conf"), RULES_IN_CLEAR);
            written.map_err(prepare("the server's rules"))?;
            Ok(Vec::new())
        })?;
        Ok(Self { server, file: PathBuf::new(), user: None })
    }

    /// Replaces its certificate, as after a renewal. The server uses it for connections a moment later.
    pub async fn renew(&self, identity: &Identity) -> io::Result<()> {
        write(&self.file, identity, self.user)?;
        self.execute("SELECT pg_reload_conf()").await.map_err(io::Error::other)
    }

    /// Offers TLS or not, a moment later; at first it does not.
    pub async fn offer_tls(&self, is_offered: bool) -> Result<(), tokio_postgres::Error> {
        self.execute(&format!("ALTER SYSTEM SET ssl = {is_offered}")).await?;
        self.execute("SELECT pg_reload_conf()").await
    }

    /// Runs a statement as the superuser.
    pub async fn execute(&self, statement: &str) -> Result<(), tokio_postgres::Error> {
        let (client, connection) =
            tokio_postgres::connect(&self.server.superuser_url(SUPERUSER), NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute(statement).await
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.tcp_port().unwrap_or_default()
    }

    #[must_use]
    pub fn server(&self) -> &PrivateServer {
        &self.server
    }
}

/// In one step, so that the server never reads one half of it.
fn write(file: &PathBuf, identity: &Identity, user: Option<(Uid, Gid)>) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, format!("{}{}", identity.certificate, identity.key))?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    if let Some((uid, gid)) = user {
        chown(&new, Some(uid), Some(gid))?;
    }
    fs::rename(new, file)
}
