//! Detects a pooler that assigns a session per transaction.
//!
//! While the last used session is idle, such a pooler assigns it again, and a simple check would pass. So a second
//! connection holds a transaction open during the check; the pooler assigns an idle session to it first. Sessions are
//! compared by their backend: it must not change on one connection, and two connections must not share it. Backends of
//! two servers prove nothing: a balancer or a failover leads to another server, and process ids of two servers may be
//! equal.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_postgres::{Client, SimpleQueryRow};

use super::backend::{Backend, Relation};
use super::connect::{ConnectError, Connector, drive, query};
use super::target::Wire;

/// Limit for the second connection to begin its transaction. If it fails (the pooler has no session left) or only
/// reaches other servers, the trial has no result, and the first connection is used until the next trial.
const TRIAL_LIMIT: Duration = Duration::from_millis(500);

/// How often a trial connects to reach the server of the first connection behind a balancer.
const CONNECT_ATTEMPTS: usize = 3;

/// Pause after a trial without a result.
const NEXT_TRIAL: Duration = Duration::from_secs(10);

/// Trials that must succeed: while others use the pooler, a connection may keep its session by chance.
const TRIALS: u32 = 3;

/// What a process knows about a pooler in front of its database.
#[derive(Debug, Default)]
pub(super) struct Pooling {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Trials in which each connection kept its own session.
    successful: u32,
    next_trial: Option<Instant>,
}

/// A second connection that holds a transaction open.
pub(super) struct Second {
    client: Client,
    wire: Wire,
}

impl Pooling {
    /// Forgets past trials: the next connections are tried again.
    pub(super) async fn forget(&self) {
        *self.state.lock().await = State::default();
    }

    /// If a trial is due, opens a second connection that holds a transaction open. `backend` is that of the first.
    pub(super) async fn begin_second(
        &self,
        connector: &Connector,
        backend: &Backend,
    ) -> Result<Option<Second>, ConnectError> {
        {
            let mut state = self.state.lock().await;
            let is_waiting = state.next_trial.is_some_and(|next| Instant::now() < next);
            if state.successful >= TRIALS || is_waiting {
                return Ok(None);
            }
            // The lock is released here: connections opened in parallel must not wait for the trial.
            state.next_trial = None;
        }
        let statement = format!("BEGIN; SELECT {}", Backend::SQL);
        match tokio::time::timeout(TRIAL_LIMIT, query_beside(backend, connector, &statement)).await {
            Ok(Ok((_, Relation::Same))) => Err(ConnectError::TransactionPooling),
            Ok(Ok((second, Relation::Sessions))) => Ok(Some(second)),
            // Statement mode refuses transactions, and assigns the last idle session to each statement.
            Ok(Err(ConnectError::SetUp(_))) if has_backend(connector, backend).await => {
                Err(ConnectError::TransactionPooling)
            }
            Ok(Ok((_, Relation::Servers)) | Err(_)) | Err(_) => Ok(self.try_later().await),
        }
    }

    async fn try_later(&self) -> Option<Second> {
        self.state.lock().await.next_trial = Some(Instant::now() + NEXT_TRIAL);
        None
    }

    /// Compares the backends of the first connection before and during the transaction of the second.
    pub(super) async fn end_second(
        &self,
        second: Option<Second>,
        before: &SimpleQueryRow,
        during: &Result<SimpleQueryRow, ConnectError>,
    ) -> Result<(), ConnectError> {
        if let Ok(during) = during {
            match Backend::from_row(before).relation(&Backend::from_row(during)) {
                Relation::Same => {}
                Relation::Sessions => return Err(ConnectError::TransactionPooling),
                Relation::Servers => return Err(ConnectError::OtherServer),
            }
        }
        if let Some(Second { client, mut wire }) = second {
            // The transaction ends with the connection in any case.
            let ended = drive(&mut wire, client.batch_execute("ROLLBACK"));
            let _closed_anyway = tokio::time::timeout(TRIAL_LIMIT, ended).await;
            self.state.lock().await.successful += u32::from(during.is_ok());
        }
        Ok(())
    }
}

/// Runs `statement` on a new connection, if possible to the server of `backend`.
async fn query_beside(
    backend: &Backend,
    connector: &Connector,
    statement: &str,
) -> Result<(Second, Relation), ConnectError> {
    // Kept open: a balancer that counts connections would otherwise choose the same server again.
    let mut elsewhere = Vec::new();
    loop {
        let (client, mut wire) = connector.dial().await?;
        let row = query(&client, &mut wire, statement).await?;
        let (second, relation) = (Second { client, wire }, Backend::from_row(&row).relation(backend));
        if relation != Relation::Servers || elsewhere.len() + 1 >= CONNECT_ATTEMPTS {
            return Ok((second, relation));
        }
        elsewhere.push(second);
    }
}

/// Whether another connection reaches this backend.
async fn has_backend(connector: &Connector, backend: &Backend) -> bool {
    let statement = format!("SELECT {}", Backend::SQL);
    let result = tokio::time::timeout(TRIAL_LIMIT, query_beside(backend, connector, &statement)).await;
    matches!(result, Ok(Ok((_, Relation::Same))))
}
