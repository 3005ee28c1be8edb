//! The database that the services use: on a private server, or one that is already there.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tokio_postgres::NoTls;

use super::say;
use crate::postgres::{PrivateServer, Scratch, ServerOptions, Tuning};

const NAME: &str = "orders";

pub(super) struct Database {
    place: Place,
    log_dir: PathBuf,
}

enum Place {
    Private(PrivateServer),
    /// The directory is removed with this value.
    Existing {
        url: String,
        _logs: Scratch,
    },
}

impl Database {
    pub(super) async fn start(existing: Option<String>, data_dir: Option<PathBuf>) -> Result<Self> {
        let database = match existing {
            Some(url) => {
                let logs = Scratch::create()?;
                Self { log_dir: logs.path().to_path_buf(), place: Place::Existing { url, _logs: logs } }
            }
            None => Self::start_private(data_dir).await?,
        };
        database.migrate().await?;
        Ok(database)
    }

    async fn start_private(data_dir: Option<PathBuf>) -> Result<Self> {
        let start = Instant::now();
        let server = PrivateServer::start(&ServerOptions { tuning: Tuning::Durable, data_dir })?;
        create_if_new(&server).await.context("the database cannot be created")?;
        say(&format!(
            "PostgreSQL  ready in {:.1} s, private, in {}",
            start.elapsed().as_secs_f64(),
            server.socket_dir().display()
        ))?;
        let log_dir = server.scratch_dir().join("logs");
        std::fs::create_dir(&log_dir)?;
        Ok(Self { place: Place::Private(server), log_dir })
    }

    async fn migrate(&self) -> Result<()> {
        let url = match &self.place {
            Place::Private(server) => server.superuser_url(NAME),
            Place::Existing { url, .. } => url.clone(),
        };
        let steps = migrate::up(&url).await?;
        say(&format!("migrations  {} applied", steps.len()))
    }

    /// A URL under which a process gets exactly the rights of `role`.
    pub(super) fn url_for(&self, role: &str) -> Result<String> {
        match &self.place {
            Place::Private(server) => Ok(server.url(role, NAME)),
            Place::Existing { url, .. } => with_role(url, role),
        }
    }

    /// Whether it is still there, as far as that is ours to know.
    pub(super) fn is_running(&mut self) -> bool {
        match &mut self.place {
            Place::Private(server) => server.is_running(),
            Place::Existing { .. } => true,
        }
    }

    pub(super) fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// A command to look into the database with. It never shows a URL, which may hold a password.
    pub(super) fn psql(&self) -> String {
        match &self.place {
            Place::Private(server) => format!("psql -h {} -U postgres {NAME}", server.socket_dir().display()),
            Place::Existing { .. } => "psql \"$DATABASE_URL\"".to_owned(),
        }
    }
}

async fn create_if_new(server: &PrivateServer) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    let connection = tokio::spawn(connection);
    if client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&NAME]).await?.is_none() {
        client.batch_execute(&format!("CREATE DATABASE {NAME}")).await?;
    }
    drop(client);
    Ok(connection.await??)
}

/// Sessions under this URL log in as its user and are `role` from their first statement on. The roles of a server that
/// asks for passwords have none, and giving them some would change what others may rely on.
fn with_role(url: &str, role: &str) -> Result<String> {
    ensure!(
        url.starts_with("postgres://") || url.starts_with("postgresql://"),
        "DATABASE_URL must be a URL that starts with postgres://"
    );
    let parameters = url.split_once('?').map(|(_, parameters)| parameters).unwrap_or_default();
    let has_options = parameters.split('&').any(|parameter| parameter.starts_with("options="));
    ensure!(!has_options, "DATABASE_URL must not have `options`: the launcher sets them to choose the role");
    let separator = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{separator}options=-c%20role%3D{role}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::ServiceKind;
    use crate::test_database::TestDatabase;

    #[tokio::test]
    async fn a_process_on_an_existing_server_has_the_rights_of_its_role_and_no_more() {
        let database = TestDatabase::create().await.unwrap();
        for kind in ServiceKind::ALL {
            let url = with_role(&database.superuser_url(), kind.role()).unwrap();
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            let row = client.query_one("SELECT current_user::text", &[]).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), kind.role());
            assert!(client.batch_execute("CREATE TABLE mine (id int)").await.is_err());
        }
    }

    #[test]
    fn a_url_that_cannot_carry_the_role_is_refused() {
        assert!(with_role("host=localhost dbname=orders", "r").is_err());
        assert!(with_role("postgres://localhost/orders?options=-c%20geqo%3Doff", "r").is_err());
        assert_eq!(
            with_role("postgres://localhost/orders?sslmode=disable", "r").unwrap(),
            "postgres://localhost/orders?sslmode=disable&options=-c%20role%3Dr"
        );
    }
}
