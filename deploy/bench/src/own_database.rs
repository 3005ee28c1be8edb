//! A new database on an existing server.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use service_kit::database;

/// Limit for connecting and for each statement.
const LIMIT: Duration = Duration::from_mins(1);

/// A new database, so that no existing data is touched. It stays until [`Self::remove`].
pub(crate) struct OwnDatabase {
    server: String,
    name: String,
    url: String,
}

impl OwnDatabase {
    /// On the server of `url`, whose own database is not touched.
    pub(crate) async fn create(url: &str) -> Result<Self> {
        let name = format!("orders_bench_{:016x}", fastrand::u64(..));
        let own = with_database(url, &name)?;
        execute(url, &format!("CREATE DATABASE {name}")).await.context("cannot create a database")?;
        Ok(Self { server: url.to_owned(), name, url: own })
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Uses a new connection: after a long run an old one may be closed.
    pub(crate) async fn remove(self) -> Result<()> {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        execute(&self.server, &drop)
            .await
            .with_context(|| format!("cannot remove the database {}", self.name))
    }
}

/// The URL with another database.
fn with_database(url: &str, name: &str) -> Result<String> {
    let mut other =
        Url::parse(url).ok().context("the database URL must be like postgres://user@host/database")?;
    other.set_path(name);
    // tokio-postgres parses URLs differently. If another part of the URL named a database, that one would be emptied.
    let read = database::read_url(other.as_str())?;
    ensure!(
        read.get_dbname() == Some(name),
        "the database URL must name its database in the path alone, not as `dbname`, and have no `#`"
    );
    Ok(other.into())
}

async fn execute(url: &str, statement: &str) -> Result<()> {
    let work = async {
        let (session, connection) = database::connect(url).await?;
        tokio::spawn(connection);
        anyhow::Ok(session.batch_execute(statement).await?)
    };
    tokio::time::timeout(LIMIT, work).await.context("the server does not respond")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ambiguous_url_is_refused() {
        let other = |url| with_database(url, "other").ok();
        assert_eq!(other("postgres://u@localhost/shop").as_deref(), Some("postgres://u@localhost/other"));
        assert_eq!(
            other("postgres:///?host=%2Ftmp&user=u").as_deref(),
            Some("postgres:///other?host=%2Ftmp&user=u")
        );
        for url in [
            "postgres://localhost/d?dbname=shop",
            "postgres://localhost/d?db%6eame=shop",
            "postgres://localhost/d?application_name=x#&dbname=shop",
            "postgres://localhost/d#?dbname=shop",
            "postgres://u:1#w@localhost/shop",
            "postgres://u:1?w@localhost/shop",
            "host=localhost dbname=shop",
        ] {
            assert_eq!(other(url), None, "{url}");
        }
    }
}
