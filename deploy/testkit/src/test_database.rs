//! For tests: a database of their own, migrated, on a server that all tests of the run share.

use std::io::{self, Write};

use tokio_postgres::{Client, NoTls};

use crate::fault_proxy::FaultProxy;
use crate::pgbouncer::{PgBouncer, PoolMode};
use crate::postgres::{SUPERUSER, ServerError, SharedServer, lock, shared_server, socket_url};

const TEMPLATE: &str = "orders_template";

/// A database that belongs to one test, with the schema of this build. It is dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    server: SharedServer,
}

/// Why a test got no database.
#[derive(Debug, thiserror::Error)]
pub enum TestDatabaseError {
    /// There is no server.
    #[error("no server for tests")]
    Server(#[from] ServerError),
    /// The lock on the template could not be taken.
    #[error("the template cannot be locked")]
    Lock(#[from] io::Error),
    /// The template could not be migrated.
    #[error("the template cannot be migrated")]
    Migrate(#[from] migrate::MigrateError),
    /// PostgreSQL refused.
    #[error("the database cannot be created")]
    Create(#[from] tokio_postgres::Error),
    /// The task that starts the server died.
    #[error("starting the server did not finish")]
    Task(#[from] tokio::task::JoinError),
}

impl TestDatabase {
    /// A fresh copy of the migrated template.
    ///
    /// # Errors
    ///
    /// [`TestDatabaseError`].
    pub async fn create() -> Result<Self, TestDatabaseError> {
        Self::create_from(Some(TEMPLATE)).await
    }

    /// A database without any schema, for tests of the migrations themselves.
    ///
    /// # Errors
    ///
    /// [`TestDatabaseError`].
    pub async fn create_empty() -> Result<Self, TestDatabaseError> {
        Self::create_from(None).await
    }

    async fn create_from(template: Option<&str>) -> Result<Self, TestDatabaseError> {
        let server = tokio::task::spawn_blocking(shared_server).await??;
        // Also where it is not copied: it keeps the roles, which all databases share, from being dropped by one test
        // while another grants to them.
        ensure_template(&server).await?;
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let admin = connect(&server, SUPERUSER, "postgres").await?;
        let template = template.unwrap_or("template0");
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        Ok(Self { name, server })
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

    /// A wire to this database that can be cut, and the URL for `role` that leads over it.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub async fn behind_a_proxy(&self, role: &str) -> io::Result<(FaultProxy, String)> {
        let proxy = FaultProxy::start(self.server.socket_dir.join(".s.PGSQL.5432")).await?;
        let url = format!("postgres://{role}@127.0.0.1:{}/{}", proxy.port(), self.name);
        Ok((proxy, url))
    }

    /// The URLs for `role` that lead over `PgBouncer` in this mode, one for each configuration that is found there. None where it
    /// is not installed, and then it says so.
    ///
    /// # Errors
    ///
    /// As [`PgBouncer::start`].
    pub fn behind_pgbouncer(&self, role: &str, mode: PoolMode) -> io::Result<Vec<(PgBouncer, String)>> {
        let mut poolers = Vec::new();
        for lines in mode.configurations() {
            let Some(pooler) = PgBouncer::start(&self.server.socket_dir, &[role], &lines)? else {
                let _says_so_in_vain = writeln!(io::stderr(), "skipped: PgBouncer is not installed");
                break;
            };
            let url = pooler.url(role, &self.name);
            poolers.push((pooler, url));
        }
        Ok(poolers)
    }

    /// A session of `role`.
    ///
    /// # Errors
    ///
    /// PostgreSQL's.
    pub async fn connect_as(&self, role: &str) -> Result<Client, tokio_postgres::Error> {
        connect(&self.server, role, &self.name).await
    }

    /// A session of the superuser, to set a scene or to look behind it.
    ///
    /// # Errors
    ///
    /// PostgreSQL's.
    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        self.connect_as(SUPERUSER).await
    }

    /// Closes it to everybody but superusers, and ends the sessions of the others. `session` is one of the superuser.
    ///
    /// # Errors
    ///
    /// PostgreSQL's.
    pub async fn close(&self, session: &Client) -> Result<(), tokio_postgres::Error> {
        let end_others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                          WHERE datname = current_database() AND pid <> pg_backend_pid()";
        session.batch_execute(&format!("ALTER DATABASE {} CONNECTION LIMIT 0", self.name)).await?;
        session.batch_execute(end_others).await
    }

    /// Opens it again after [`Self::close`].
    ///
    /// # Errors
    ///
    /// PostgreSQL's.
    pub async fn reopen(&self, session: &Client) -> Result<(), tokio_postgres::Error> {
        session.batch_execute(&format!("ALTER DATABASE {} CONNECTION LIMIT -1", self.name)).await
    }

    /// A program of the server's own version, such as `pg_dump`, told which server and user to use.
    #[must_use]
    pub fn program(&self, name: &str) -> std::process::Command {
        let mut command = std::process::Command::new(self.server.binaries.program(name));
        command.env("PGHOST", &self.server.socket_dir).env("PGUSER", SUPERUSER).env("PGDATABASE", &self.name);
        command
    }
}

impl Drop for TestDatabase {
    /// On a thread of its own: the test's runtime may be the one that is being taken down. What fails is left to the end
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
        // Renamed once it is whole: a run whose first process was killed half way starts over.
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
