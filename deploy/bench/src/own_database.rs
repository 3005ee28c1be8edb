//! A database of its own on a server that is already there.

use anyhow::{Context, Result};
use reqwest::Url;
use tokio_postgres::{Client, NoTls};

/// A new database that nobody else knows of, so that nothing on the server can be lost. It stays until [`Self::remove`].
pub(crate) struct OwnDatabase {
    session: Client,
    name: String,
    url: String,
}

impl OwnDatabase {
    /// On the server of the database at `url`, which is not touched itself.
    pub(crate) async fn create(url: &str) -> Result<Self> {
        let mut own =
            Url::parse(url).ok().context("the database URL must be like postgres://user@host/database")?;
        let (session, connection) =
            tokio_postgres::connect(url, NoTls).await.context("the database cannot be reached")?;
        tokio::spawn(connection);
        let name = format!("orders_bench_{:016x}", fastrand::u64(..));
        session
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .context("no database can be created")?;
        own.set_path(&name);
        Ok(Self { session, name, url: own.into() })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) async fn remove(self) -> Result<()> {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        self.session
            .batch_execute(&drop)
            .await
            .with_context(|| format!("database {} is left behind", self.name))
    }
}
