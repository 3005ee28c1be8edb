//! A database as production has it: its owner cannot log in, and is no superuser.

use anyhow::{Context, Result};
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use tokio_postgres::{Client, NoTls};

/// On a private server, because roles belong to the server.
pub(crate) struct Owned {
    pub(crate) server: PrivateServer,
    pub(crate) superuser: Client,
}

impl Owned {
    /// Without any tables.
    pub(crate) async fn create() -> Result<Self> {
        let server = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
        let superuser = connect(&server.superuser_url("postgres")).await?;
        for statement in [
            "CREATE ROLE orders_owner NOLOGIN CREATEROLE",
            "CREATE ROLE orders_migrate LOGIN NOINHERIT",
            "GRANT orders_owner TO orders_migrate",
            "CREATE DATABASE orders OWNER orders_owner",
        ] {
            superuser.batch_execute(statement).await.context(statement)?;
        }
        let superuser = connect(&server.superuser_url("orders")).await?;
        Ok(Self { server, superuser })
    }

    /// For migrations: its session becomes the owner.
    pub(crate) fn url(&self) -> String {
        url_at(&self.server)
    }

    #[allow(dead_code, reason = "only some of the tests log in as a process")]
    pub(crate) async fn connect_as(&self, role: &str) -> Result<Client> {
        connect(&self.server.url(role, "orders")).await
    }
}

pub(crate) fn url_at(server: &PrivateServer) -> String {
    format!("{}?options=-c%20role%3Dorders_owner", server.url("orders_migrate", "orders"))
}

pub(crate) async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
