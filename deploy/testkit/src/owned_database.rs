//! A database as production has it: its owner cannot log in, and is no superuser.

use anyhow::{Context, Result};
use tokio_postgres::{Client, NoTls};

use crate::postgres::{PrivateServer, ServerOptions, Tuning};

/// On a private server, because roles belong to the server.
#[derive(Debug)]
pub struct OwnedDatabase {
    pub server: PrivateServer,
    pub superuser: Client,
}

impl OwnedDatabase {
    /// Without any tables.
    pub async fn create() -> Result<Self> {
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
    #[must_use]
    pub fn url(&self) -> String {
        url_at(&self.server)
    }

    pub async fn connect_as(&self, role: &str) -> Result<Client> {
        connect(&self.server.url(role, "orders")).await
    }
}

/// [`OwnedDatabase::url`] of a server that was started again.
#[must_use]
pub fn url_at(server: &PrivateServer) -> String {
    format!("{}?options=-c%20role%3Dorders_owner", server.url("orders_migrate", "orders"))
}

pub async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
