//! A database and the real services on it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use testkit::database::Database;
use testkit::postgres::{ServerOptions, Tuning};
use testkit::services::{Operator, Service, ServiceBinaries, ServiceKind};
use tokio_postgres::Client;

use crate::own_database::OwnDatabase;

/// Limit of a single request (not of wrk).
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

const TABLES: [&str; 6] =
    ["orders", "outbox", "order_summary", "event_log", "waiting_events", "parked_events"];

/// A migrated database and the services' binaries. The server is bound to the calling thread.
pub(crate) struct Stage {
    /// A session of the owner of all tables.
    pub(crate) session: Client,
    /// For single requests to the services.
    pub(crate) http: reqwest::Client,
    binaries: ServiceBinaries,
    earlier: Option<ServiceBinaries>,
    database: Database,
    /// Set if the server existed before.
    own: Option<OwnDatabase>,
}

impl Stage {
    /// On a private server, or in a new database on the server of `existing`.
    ///
    /// # Errors
    ///
    /// If something does not start.
    pub(crate) async fn start(binaries: ServiceBinaries, existing: Option<&str>) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(LONGEST_REQUEST).build()?;
        let own = match existing {
            Some(url) => Some(OwnDatabase::create(url).await?),
            None => None,
        };
        match open(own.as_ref()).await {
            Ok((database, session)) => Ok(Self { session, http, binaries, earlier: None, database, own }),
            Err(error) => {
                let removed = match own {
                    Some(own) => own.remove().await,
                    None => Ok(()),
                };
                both(Err(error), removed)
            }
        }
    }

    /// Removes everything, except the services' roles on an existing server, which others may use.
    pub(crate) async fn end(self) -> Result<()> {
        match self.own {
            Some(own) => own.remove().await,
            None => Ok(()),
        }
    }

    /// For pgbench.
    pub(crate) fn database_url(&self) -> String {
        self.database.admin_url()
    }

    /// Adds binaries of an earlier commit, to compare with.
    pub(crate) fn with_earlier(self, earlier: Option<ServiceBinaries>) -> Self {
        Self { earlier, ..self }
    }

    pub(crate) fn has_earlier(&self) -> bool {
        self.earlier.is_some()
    }

    /// Starts a service on a free port with additional variables, and waits until it is ready.
    pub(crate) async fn service(&self, kind: ServiceKind, variables: &[(&str, &str)]) -> Result<Service> {
        self.service_of(&self.binaries, kind, variables).await
    }

    /// The same service of the earlier commit.
    pub(crate) async fn earlier_service(&self, kind: ServiceKind) -> Result<Service> {
        let earlier = self.earlier.as_ref().context("there are no earlier binaries")?;
        self.service_of(earlier, kind, &[]).await
    }

    async fn service_of(
        &self,
        binaries: &ServiceBinaries,
        kind: ServiceKind,
        variables: &[(&str, &str)],
    ) -> Result<Service> {
        let url = self.database.url_for(kind.role())?;
        let program = binaries.program(kind);
        let mut service = Service::start_with(variables, kind, &program, &url, 0, self.database.log_dir())?;
        service.wait_until_ready().await?;
        Ok(service)
    }

    /// The address with which a service reaches the database in clear, if it uses TLS otherwise.
    pub(crate) fn url_in_clear(&self, kind: ServiceKind) -> Result<Option<String>> {
        let mut url = Url::parse(&self.database.url_for(kind.role())?)?;
        let is_of_tls = |name: &str| ["sslmode", "sslrootcert"].contains(&name);
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        if !pairs.iter().any(|(name, mode)| name == "sslmode" && mode != "disable") {
            return Ok(None);
        }
        let others = pairs.iter().filter(|(name, _)| !is_of_tls(name));
        url.query_pairs_mut().clear().extend_pairs(others).append_pair("sslmode", "disable");
        // The form encoding writes a space as `+`, which PostgreSQL does not decode: `options` would be wrong.
        let query = url.query().unwrap_or_default().replace('+', "%20");
        url.set_query(Some(&query));
        Ok(Some(url.into()))
    }

    /// The commands of the projector.
    pub(crate) fn operator(&self) -> Result<Operator> {
        let kind = ServiceKind::Projector;
        Ok(Operator::new(self.binaries.program(kind), self.database.url_for(kind.role())?))
    }

    /// Adds the tables of the example.
    pub(crate) async fn add_examples(&self) -> Result<()> {
        testkit::database::add_examples(&self.database_url()).await.map(drop)
    }

    pub(crate) async fn empty(&self) -> Result<()> {
        Ok(self.session.batch_execute(&format!("TRUNCATE {}", TABLES.join(", "))).await?)
    }

    /// Runs maintenance now, so that it does not disturb a measurement.
    pub(crate) async fn settle(&self) -> Result<()> {
        for statement in [
            "VACUUM (ANALYZE) orders",
            "VACUUM (ANALYZE) order_summary",
            "VACUUM (ANALYZE) outbox",
            "CHECKPOINT",
        ] {
            self.session.batch_execute(statement).await?;
        }
        Ok(())
    }

    pub(crate) async fn count(&self, table: &str) -> Result<u64> {
        let row = self.session.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?;
        Ok(row.get::<_, i64>(0).try_into()?)
    }

    /// The WAL that the server has written so far.
    pub(crate) async fn wal_bytes(&self) -> Result<f64> {
        let written = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8";
        Ok(self.session.query_one(written, &[]).await?.get(0))
    }

    pub(crate) async fn setting(&self, name: &str) -> Result<String> {
        let row = self.session.query_one("SELECT current_setting($1)", &[&name]).await;
        Ok(row.with_context(|| format!("no setting {name}"))?.get(0))
    }
}

/// Ends a service, which must have run until now, and must end in good order.
pub(crate) fn stop(mut service: Service) -> Result<()> {
    let name = service.kind().name();
    ensure!(service.is_running(), "{name} has ended by itself");
    let status = service.stop()?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

/// The result of the work if the cleanup succeeded too. Combines two errors.
pub(crate) fn both<T>(done: Result<T>, cleared_up: Result<()>) -> Result<T> {
    match (done, cleared_up) {
        (Err(error), Err(left)) => Err(error.context(format!("{left:#}"))),
        (done, cleared_up) => cleared_up.and(done),
    }
}

async fn open(own: Option<&OwnDatabase>) -> Result<(Database, Client)> {
    let database = match own {
        Some(own) => Database::existing(own.url()).await?,
        None => Database::private(&ServerOptions { tuning: Tuning::Measured, data_dir: None }).await?,
    };
    let (session, connection) = service_kit::database::connect(&database.admin_url()).await?;
    tokio::spawn(connection);
    Ok((database, session))
}
