//! A database of its own on a server that is already there.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use tokio_postgres::NoTls;

/// For connecting, and for each statement.
const LIMIT: Duration = Duration::from_mins(1);

/// A new database that nobody else knows of, so that nothing on the server can be lost. It stays until [`Self::remove`].
pub(crate) struct OwnDatabase {
    server: String,
    name: String,
    url: String,
}

impl OwnDatabase {
    /// On the server of the database at `url`, which is not touched itself.
    pub(crate) async fn create(url: &str) -> Result<Self> {
        let mut own =
            Url::parse(url).ok().context("the database URL must be like postgres://user@host/database")?;
        // It would outdo the name in the path, and that database be emptied.
        ensure!(
            own.query_pairs().all(|(name, _)| name != "dbname"),
            "the database URL must name its database in the path, and not as `dbname`"
        );
        let name = format!("orders_bench_{:016x}", fastrand::u64(..));
        execute(url, &format!("CREATE DATABASE {name}")).await.context("no database can be created")?;
        own.set_path(&name);
        Ok(Self { server: url.to_owned(), name, url: own.into() })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Over a new connection: the run may have taken longer than an idle one is kept.
    pub(crate) async fn remove(self) -> Result<()> {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        execute(&self.server, &drop).await.with_context(|| format!("database {} is left behind", self.name))
    }
}

async fn execute(url: &str, statement: &str) -> Result<()> {
    let work = async {
        let (session, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        session.batch_execute(statement).await
    };
    Ok(tokio::time::timeout(LIMIT, work).await.context("the server does not answer")??)
}
