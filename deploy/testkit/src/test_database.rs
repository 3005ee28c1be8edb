//! A migrated database per test, on a server that all tests of the run share.

use std::io::{self, Write};

use tokio_postgres::{Client, NoTls};

use crate::certificates::Identity;
use crate::fault_proxy::FaultProxy;
use crate::pgbouncer::{PgBouncer, PoolMode};
use crate::postgres::{SUPERUSER, ServerError, SharedServer, lock, shared_server, socket_url};

const TEMPLATE: &str = "orders_template";

/// The roles that the migrations allow to connect. CREATE DATABASE does not copy the template's privileges.
const LOGINS: &str = "orders_write_api, orders_write_api_b, orders_projector, orders_projector_b, orders_read_api, \
                      orders_read_api_b, orders_scaler, orders_scaler_b";

/// The database of one test, with the schema of this build. Dropping this value drops it.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    server: SharedServer,
}

/// Why a test has no database.
#[derive(Debug, thiserror::Error)]
pub enum TestDatabaseError {
    #[error("no server for tests")]
    Server(#[from] ServerError),
    #[error("the template cannot be locked")]
    Lock(#[from] io::Error),
    #[error("the template cannot be migrated")]
    Migrate(#[from] migrate::MigrateError),
    #[error("the database cannot be created")]
    Create(#[from] tokio_postgres::Error),
    /// The task that starts the server died.
    #[error("starting the server did not finish")]
    Task(#[from] tokio::task::JoinError),
}

impl TestDatabase {
    /// A fresh copy of the migrated template.
    pub async fn create() -> Result<Self, TestDatabaseError> {
        Self::create_from(Some(TEMPLATE)).await
    }

    /// A database without any schema, for tests of the migrations themselves.
    pub async fn create_empty() -> Result<Self, TestDatabaseError> {
        Self::create_from(None).await
    }

    async fn create_from(template: Option<&str>) -> Result<Self, TestDatabaseError> {
        let server = tokio::task::spawn_blocking(shared_server).await??;
        // Also if it is not copied: it depends on the roles, which all databases share, so that no test can drop them
        // while another uses them.
        ensure_template(&server).await?;
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let admin = connect(&server, SUPERUSER, "postgres").await?;
        let source = template.unwrap_or("template0");
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {source}")).await?;
        let database = Self { name, server };
        if template.is_some() {
            let privileges = format!(
                "REVOKE ALL ON DATABASE {0} FROM PUBLIC; GRANT CONNECT ON DATABASE {0} TO {LOGINS}",
                database.name
            );
            admin.batch_execute(&privileges).await?;
        }
        Ok(database)
    }

    /// The URL of this database for `role`, such as `orders_write_api`.
    #[must_use]
    pub fn url(&self, role: &str) -> String {
        socket_url(&self.server.socket_dir, role, &self.name)
    }

    /// The URL of this database for the superuser.
    #[must_use]
    pub fn superuser_url(&self) -> String {
        self.url(SUPERUSER)
    }

    /// A fault proxy to this database, and the URL for `role` through it.
    pub async fn behind_a_proxy(&self, role: &str) -> io::Result<(FaultProxy, String)> {
        let proxy = FaultProxy::start(self.server.socket_dir.join(".s.PGSQL.5432")).await?;
        let url = self.url_by_proxy(role, &proxy);
        Ok((proxy, url))
    }

    /// The URL for `role` through this proxy.
    #[must_use]
    pub fn url_by_proxy(&self, role: &str, proxy: &FaultProxy) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{}", proxy.port(), self.name)
    }

    /// The URLs for `role` through `PgBouncer` in this mode, one per common configuration. Empty, with a message, if it
    /// is not installed.
    ///
    /// # Errors
    ///
    /// As [`PgBouncer::start`].
    pub fn behind_pgbouncer(&self, role: &str, mode: PoolMode) -> io::Result<Vec<(PgBouncer, String)>> {
        let mut poolers = Vec::new();
        for lines in mode.configurations() {
            let Some(pooler) = PgBouncer::start(&self.server.socket_dir, &[role], &lines)? else {
                let _cannot_print = writeln!(io::stderr(), "skipped: PgBouncer is not installed");
                break;
            };
            let url = pooler.url(role, &self.name);
            poolers.push((pooler, url));
        }
        Ok(poolers)
    }

    /// Behind a `PgBouncer` in session mode that demands TLS and this password of the roles: each common configuration,
    /// with its port at 127.0.0.1. None if the program is not installed.
    ///
    /// # Errors
    ///
    /// As [`PgBouncer::start`].
    pub fn behind_pgbouncer_with_tls(
        &self,
        roles: &[&str],
        password: &str,
        identity: &Identity,
    ) -> io::Result<Vec<PgBouncer>> {
        let configurations = PoolMode::Session.configurations().into_iter();
        let server = &self.server.socket_dir;
        configurations
            .filter_map(|lines| {
                PgBouncer::start_with_tls(server, roles, password, &lines, identity).transpose()
            })
            .collect()
    }

    /// The name of the database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A session of `role`.
    pub async fn connect_as(&self, role: &str) -> Result<Client, tokio_postgres::Error> {
        connect(&self.server, role, &self.name).await
    }

    /// A superuser's session, to prepare and inspect data.
    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        self.connect_as(SUPERUSER).await
    }

    /// Refuses connections except for superusers, and ends all other sessions. `session` is a superuser's.
    pub async fn close(&self, session: &Client) -> Result<(), tokio_postgres::Error> {
        let end_others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                          WHERE datname = current_database() AND pid <> pg_backend_pid()";
        session.batch_execute(&format!("ALTER DATABASE {} CONNECTION LIMIT 0", self.name)).await?;
        session.batch_execute(end_others).await
    }

    /// Accepts connections again after [`Self::close`].
    pub async fn reopen(&self, session: &Client) -> Result<(), tokio_postgres::Error> {
        session.batch_execute(&format!("ALTER DATABASE {} CONNECTION LIMIT -1", self.name)).await
    }

    /// A program of the server's version, such as `pg_dump`, with this database in its environment.
    #[must_use]
    pub fn program(&self, name: &str) -> std::process::Command {
        let mut command = std::process::Command::new(self.server.binaries.program(name));
        command.env("PGHOST", &self.server.socket_dir).env("PGUSER", SUPERUSER).env("PGDATABASE", &self.name);
        command
    }
}

impl Drop for TestDatabase {
    /// On its own thread, because the test's runtime may be shutting down. On an error the database stays until the end
    /// of the run, which removes the whole server.
    fn drop(&mut self) {
        let url = socket_url(&self.server.socket_dir, SUPERUSER, "postgres");
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let client = connect_to(&url).await.ok()?;
                client.batch_execute(&statement).await.ok()
            })
        });
        let _left_for_the_end_of_the_run = dropping.join();
    }
}

/// The first test of the run migrates the template; the others wait for it.
async fn ensure_template(server: &SharedServer) -> Result<(), TestDatabaseError> {
    let dir = server.dir.clone();
    let lock = tokio::task::spawn_blocking(move || lock(&dir, "template.lock")).await??;
    let admin = connect(server, SUPERUSER, "postgres").await?;
    let exists = admin.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&TEMPLATE]).await?;
    if exists.is_none() {
        // Renamed when complete: if the first process of a run is killed halfway, the next one starts again.
        admin.batch_execute("DROP DATABASE IF EXISTS template_in_progress").await?;
        admin.batch_execute("CREATE DATABASE template_in_progress").await?;
        migrate::up(&socket_url(&server.socket_dir, SUPERUSER, "template_in_progress")).await?;
        admin.batch_execute(&format!("ALTER DATABASE template_in_progress RENAME TO {TEMPLATE}")).await?;
    }
    drop(lock);
    Ok(())
}

async fn connect(server: &SharedServer, role: &str, database: &str) -> Result<Client, tokio_postgres::Error> {
    connect_to(&socket_url(&server.socket_dir, role, database)).await
}

async fn connect_to(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
