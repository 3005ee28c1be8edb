//! The database of the services, on a private or an existing server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use migrate::Addition;
use tokio_postgres::NoTls;

use crate::postgres::{PrivateServer, Scratch, ServerOptions};

const NAME: &str = "orders";
const EXAMPLE_MIGRATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/revenue/migrations");

/// A migrated database. Dropping it stops a private server.
#[derive(Debug)]
pub struct Database {
    hosting: Hosting,
    log_dir: PathBuf,
    migrations: usize,
}

#[derive(Debug)]
enum Hosting {
    Private(PrivateServer),
    /// The directory is removed with this value.
    Existing {
        url: String,
        scratch: Scratch,
    },
}

impl Database {
    /// On a private server, which is bound to the calling **thread** (see [`PrivateServer::start`]).
    ///
    /// # Errors
    ///
    /// If the server does not start or a migration fails.
    pub async fn private(options: &ServerOptions) -> Result<Self> {
        let server = PrivateServer::start(options)?;
        create_if_new(&server).await.context("the database cannot be created")?;
        let log_dir = server.scratch_dir().join("logs");
        std::fs::create_dir(&log_dir)?;
        Self { hosting: Hosting::Private(server), log_dir, migrations: 0 }.migrated().await
    }

    /// The database at `url`. Its user applies the migrations, and must be able to `SET ROLE` to the roles of the
    /// services.
    ///
    /// # Errors
    ///
    /// If a migration fails.
    pub async fn existing(url: String) -> Result<Self> {
        let scratch = Scratch::create()?;
        let log_dir = scratch.path().to_path_buf();
        Self { hosting: Hosting::Existing { url, scratch }, log_dir, migrations: 0 }.migrated().await
    }

    async fn migrated(mut self) -> Result<Self> {
        match migrate::up(&self.admin_url()).await {
            Ok(applied) => self.migrations = applied.len(),
            Err(error) => return Err(self.diagnose(error.into()).await),
        }
        Ok(self)
    }

    /// The error with the errors that `migrate doctor` finds in this database, if there are any.
    pub async fn diagnose(&self, error: anyhow::Error) -> anyhow::Error {
        match migrate::doctor(&self.admin_url()).await {
            Ok(report) if report.has_errors() => {
                error.context(format!("`migrate doctor` finds in the database:\n{}", report.only_errors()))
            }
            _ => error,
        }
    }

    /// Adds the tables of the example.
    ///
    /// # Errors
    ///
    /// If a migration fails, or this program no longer has its repository.
    pub async fn with_examples(mut self) -> Result<Self> {
        self.migrations += add_examples(&self.admin_url()).await?;
        Ok(self)
    }

    /// The number of migrations that were applied.
    #[must_use]
    pub fn migrations(&self) -> usize {
        self.migrations
    }

    /// A URL for the user that applies the migrations.
    #[must_use]
    pub fn admin_url(&self) -> String {
        match &self.hosting {
            Hosting::Private(server) => server.superuser_url(NAME),
            Hosting::Existing { url, .. } => url.clone(),
        }
    }

    /// A URL whose sessions have exactly the rights of `role`.
    ///
    /// # Errors
    ///
    /// If the URL of an existing server is not one.
    pub fn url_for(&self, role: &str) -> Result<String> {
        match &self.hosting {
            Hosting::Private(server) => Ok(server.url(role, NAME)),
            Hosting::Existing { url, .. } => with_role(url, role),
        }
    }

    /// Whether it still runs. An existing server counts as running.
    pub fn is_running(&mut self) -> bool {
        match &mut self.hosting {
            Hosting::Private(server) => server.is_running(),
            Hosting::Existing { .. } => true,
        }
    }

    #[must_use]
    pub fn private_server(&self) -> Option<&PrivateServer> {
        match &self.hosting {
            Hosting::Private(server) => Some(server),
            Hosting::Existing { .. } => None,
        }
    }

    /// A directory for files of this user's processes; removed with this value.
    #[must_use]
    pub fn scratch_dir(&self) -> &Path {
        match &self.hosting {
            Hosting::Private(server) => server.scratch_dir(),
            Hosting::Existing { scratch, .. } => scratch.path(),
        }
    }

    /// The directory for the services' logs; removed with this value.
    #[must_use]
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// A shell line after which commands of the services use this database with the rights of `role`. It never shows
    /// the URL of an existing server, which may have a password; its user may do what `role` may.
    #[must_use]
    pub fn export(&self, role: &str) -> String {
        match self.private_server() {
            Some(server) => format!("export DATABASE_URL='{}'", server.url(role, NAME)),
            None => "# with the DATABASE_URL of your server".to_owned(),
        }
    }

    /// A psql command for this database. It never shows a URL, which may have a password.
    #[must_use]
    pub fn psql(&self) -> String {
        match self.private_server() {
            Some(server) => format!("psql -h {} -U postgres {NAME}", server.socket_dir().display()),
            None => "psql \"$DATABASE_URL\"".to_owned(),
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

/// Sessions with this URL log in as its user and have `role` from their first statement on. The roles themselves may
/// have no password, and this must not set one. The URL's own `options`, such as the `search_path` of a cell, stay.
fn with_role(url: &str, role: &str) -> Result<String> {
    ensure!(
        url.starts_with("postgres://") || url.starts_with("postgresql://"),
        "DATABASE_URL must be a URL that starts with postgres://"
    );
    let select = format!("-c%20role%3D{role}");
    let Some((start, parameters)) = url.split_once('?') else { return Ok(format!("{url}?options={select}")) };
    let mut parameters: Vec<_> = parameters.split('&').map(str::to_owned).collect();
    match parameters.iter_mut().find(|parameter| parameter.starts_with("options=")) {
        Some(options) => *options = format!("{options}%20{select}"),
        None => parameters.push(format!("options={select}")),
    }
    Ok(format!("{start}?{}", parameters.join("&")))
}

/// Adds the tables of the example to the database of this URL. Returns how many migrations were applied.
///
/// # Errors
///
/// If a migration fails, or this program no longer has its repository.
pub async fn add_examples(admin_url: &str) -> Result<usize> {
    let example = Addition::new("revenue", Path::new(EXAMPLE_MIGRATIONS))?;
    Ok(example.up(admin_url).await?.len())
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

    #[tokio::test]
    async fn an_error_comes_with_what_is_wrong_in_the_database() {
        let server = TestDatabase::create().await.unwrap();
        let session = server.connect().await.unwrap();
        let database = Database::existing(server.superuser_url()).await.unwrap();
        let plain = database.diagnose(anyhow::anyhow!("not ready")).await;
        assert_eq!(plain.to_string(), "not ready");
        session.batch_execute("REVOKE UPDATE ON orders FROM orders_write").await.unwrap();
        let error = format!("{:#}", database.diagnose(plain).await);
        assert!(error.contains("remedy: GRANT UPDATE ON TABLE orders TO orders_write"), "{error}");
        assert!(error.ends_with(": not ready") && !error.contains("warning ("), "{error}");
    }

    #[tokio::test]
    async fn a_failed_migration_comes_with_what_is_wrong_in_the_database() {
        let options = ServerOptions { tuning: crate::postgres::Tuning::Throwaway, data_dir: None };
        let server = PrivateServer::start(&options).unwrap();
        let url = server.superuser_url("postgres");
        let (session, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        session.batch_execute("CREATE ROLE orders_write_api LOGIN CREATEDB").await.unwrap();
        let error = format!("{:#}", Database::existing(url).await.unwrap_err());
        assert!(error.contains("remedy: ALTER ROLE orders_write_api NOCREATEDB"), "{error}");
        assert!(error.contains("a role has more rights than its process may have"), "{error}");
    }

    #[test]
    fn a_url_carries_the_role_beside_its_own_options() {
        assert!(with_role("host=localhost dbname=orders", "r").is_err());
        assert_eq!(
            with_role("postgres://localhost/orders?sslmode=disable", "r").unwrap(),
            "postgres://localhost/orders?sslmode=disable&options=-c%20role%3Dr"
        );
        assert_eq!(
            with_role("postgres://localhost/orders?options=-c%20search_path%3Dcell_01&sslmode=disable", "r")
                .unwrap(),
            "postgres://localhost/orders?options=-c%20search_path%3Dcell_01%20-c%20role%3Dr&sslmode=disable"
        );
    }
}
