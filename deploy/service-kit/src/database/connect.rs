//! Opens a session and checks its settings.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use diesel::ConnectionError;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::PoolableConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::AbortHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::backend::Backend;
use super::citus;
use super::pooling::Pooling;
use super::session_validity::Validity;
use super::settings::LostSetting;
use super::target::{Target, Wire};
use super::targets::Targets;
use super::tls::{TlsError, TlsFileError};
use crate::config::ConfigError;

/// Opens the connections of a pool.
pub(super) struct Connector {
    targets: Targets,
    validity: Arc<Validity>,
    pooling: Arc<Pooling>,
    /// Set when a pooler refuses the startup options, as `PgBouncer` does. The settings are then only set afterwards.
    omits_options: AtomicBool,
}

/// A connection and the state of its session.
pub(super) struct PooledConnection {
    pub(super) connection: AsyncPgConnection,
    /// When the process began to open it.
    pub(super) opened: Instant,
    /// Stays the same on a direct connection and behind a pooler in session mode.
    pub(super) backend: Backend,
    /// Whether a statement has succeeded.
    pub(super) has_worked: bool,
    /// Timeouts since the last success.
    pub(super) timeouts: u32,
    driver: AbortHandle,
    is_closed: bool,
}

/// Why a connection cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be used.
    #[error(transparent)]
    Url(#[from] ConfigError),
    /// A file of the URL cannot be used.
    #[error("a file of DATABASE_URL cannot be used")]
    TlsFile(#[from] TlsFileError),
    /// TLS refuses the server, or the server TLS.
    #[error("no connection with TLS")]
    Tls(#[source] TlsError),
    /// The server cannot be reached, or refuses the connection.
    #[error("cannot connect")]
    Open(#[source] tokio_postgres::Error),
    /// There is a server, or something on the way to it, that says nothing.
    #[error("the server did not answer within {} s", .0.as_secs())]
    NoAnswer(Duration),
    /// The server is read-only, and the process writes.
    #[error("the server is read-only: it is a standby, or default_transaction_read_only is on")]
    ReadOnly,
    /// What the session would read is wrong.
    #[error("this node of Citus does not own the schema: let DATABASE_URL name {0}, which does")]
    WrongNode(String),
    /// The connection ended while the session was set up.
    #[error("the connection ended while the session was set up")]
    Ended,
    /// A balancer or failover led to another server.
    #[error("the connection moved to another server while the session was set up")]
    OtherServer,
    /// The session cannot be set up.
    #[error("the session cannot be set up")]
    SetUp(#[source] tokio_postgres::Error),
    /// The session lost a setting.
    #[error(transparent)]
    LostSetting(#[from] LostSetting),
    /// A pooler assigns a session per transaction.
    #[error(
        "DATABASE_URL leads to a pooler in transaction or statement mode, which loses session settings and prepared \
         statements: use session mode (PgBouncer: pool_mode=session), or connect to PostgreSQL directly"
    )]
    TransactionPooling,
    /// diesel cannot use the session.
    #[error("the session cannot be used")]
    Use(#[source] ConnectionError),
}

impl Connector {
    pub(super) fn new(targets: Targets, validity: Arc<Validity>, pooling: Arc<Pooling>) -> Self {
        Self { targets, validity, pooling, omits_options: AtomicBool::new(false) }
    }

    /// Opens a connection whose session has all settings. Boxed, because this large future would otherwise be part of
    /// every future that uses the database.
    pub(super) fn open(&self) -> BoxFuture<'_, Result<PooledConnection, ConnectError>> {
        self.open_now().boxed()
    }

    async fn open_now(&self) -> Result<PooledConnection, ConnectError> {
        let opened = Instant::now();
        let target = self.targets.next().await;
        let settings = &target.settings;
        let (client, mut wire) = self.dial_to(&target).await?;
        let set = format!("{}, {}", settings.set(), citus::IS_PRESENT);
        let set = query(&client, &mut wire, &set).await?;
        // Without a second connection, a pooler in transaction mode would run the check in the same session by chance.
        let other = self.pooling.begin_second(self, &Backend::from_row(&set)).await?;
        let shown = query(&client, &mut wire, &settings.show()).await;
        self.pooling.end_second(other, &set, &shown).await?;
        settings.compare(&set, &shown?)?;
        citus::refuse_wrong_node(&client, &mut wire, &set).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = wire.await {
                tracing::debug!(
                    error = crate::telemetry::chain(&error),
                    "a connection to the database ended"
                );
            }
        });
        let driver = driver.abort_handle();
        let connection = AsyncPgConnection::try_from(client).await;
        let connection = connection.inspect_err(|_| driver.abort()).map_err(ConnectError::Use)?;
        let backend = Backend::from_row(&set);
        Ok(PooledConnection {
            connection,
            opened,
            backend,
            has_worked: false,
            timeouts: 0,
            driver,
            is_closed: false,
        })
    }

    /// Connects, with the settings as startup options unless a pooler refuses them.
    pub(super) async fn dial(&self) -> Result<(Client, Wire), ConnectError> {
        let target = self.targets.next().await;
        self.dial_to(&target).await
    }

    async fn dial_to(&self, target: &Target) -> Result<(Client, Wire), ConnectError> {
        if self.omits_options.load(Ordering::Relaxed) {
            return target.dial_without_options().await;
        }
        match target.dial().await {
            Err(ConnectError::Open(error)) if error.code() == Some(&SqlState::PROTOCOL_VIOLATION) => {
                let dialled = target.dial_without_options().await?;
                self.omits_options.store(true, Ordering::Relaxed);
                Ok(dialled)
            }
            dialled => dialled,
        }
    }
}

/// Runs a statement on a connection without a driver task and returns its only row.
pub(super) async fn query(
    client: &Client,
    wire: &mut Wire,
    statement: &str,
) -> Result<SimpleQueryRow, ConnectError> {
    let messages = drive(wire, client.simple_query(statement)).await?;
    let row = messages.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    row.ok_or(ConnectError::Ended)
}

pub(super) async fn drive<T>(
    wire: &mut Wire,
    request: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, ConnectError> {
    tokio::select! {
        biased;
        response = request => response.map_err(ConnectError::SetUp),
        ended = wire => Err(ended.map_or_else(ConnectError::SetUp, |()| ConnectError::Ended)),
    }
}

impl PooledConnection {
    /// Closes the connection without waiting for its statements.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.driver.abort();
    }
}

impl Drop for PooledConnection {
    /// Without the abort, the driver task would wait for outstanding responses.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Manager for Connector {
    type Type = PooledConnection;
    type Error = ConnectError;

    async fn create(&self) -> Result<PooledConnection, ConnectError> {
        self.open().await
    }

    /// Detects a dead connection without a round trip.
    async fn recycle(&self, session: &mut PooledConnection, _: &Metrics) -> RecycleResult<ConnectError> {
        if session.is_closed || session.connection.is_broken() || self.validity.is_invalid(session.opened) {
            return Err(RecycleError::message("closed or no longer valid"));
        }
        Ok(())
    }
}
