//! Whether a pooler in between gives each transaction another session.
//!
//! Such a pooler answers a check from the session that has just been used as long as that is idle. So while the check runs,
//! a second connection holds a transaction open, for which an idle session is taken first. The backend tells sessions apart: on
//! one connection it must not change, and no other connection may have the same. Backends of two servers prove nothing: a
//! balancer or a failover leads to another server, and servers know nothing of each other's process ids.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_postgres::{Client, SimpleQueryRow};

use super::backend::{Backend, Relation};
use super::connect::{ConnectError, Connector, Wire, drive, query};

/// The second connection has to begin its transaction within this. Where it cannot, as where a pooler has no session left, or
/// where it comes to other servers only, nothing is known, and the connection counts as a good one until the next trial.
const TRIAL_LIMIT: Duration = Duration::from_millis(500);

/// How often a trial connects to come to the server of the first connection, where a balancer leads to several.
const DIALS: usize = 3;

/// When to try again where nothing could be learnt.
const NEXT_TRIAL: Duration = Duration::from_secs(10);

/// How often a process makes sure: while others use the pooler, one trial may see the same session by chance.
const TRIALS: u32 = 3;

/// What a process knows about what is between it and its database.
#[derive(Debug, Default)]
pub(super) struct Pooling {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Trials in which each connection kept a session of its own.
    passed: u32,
    next_trial: Option<Instant>,
}

/// A second connection that holds a transaction open.
pub(super) struct Other {
    client: Client,
    wire: Wire,
}

impl Pooling {
    /// Forgets what was learnt: the next connections are tried again.
    pub(super) async fn forget(&self) {
        *self.state.lock().await = State::default();
    }

    /// Opens a second connection that holds a transaction open, if a trial is due. `backend` is that of the first.
    pub(super) async fn begin_other(
        &self,
        connector: &Connector,
        backend: &Backend,
    ) -> Result<Option<Other>, ConnectError> {
        {
            let mut state = self.state.lock().await;
            let is_waiting = state.next_trial.is_some_and(|next| Instant::now() < next);
            if state.passed >= TRIALS || is_waiting {
                return Ok(None);
            }
            // Until the trial has an outcome: a connection that is opened beside this one is not held up.
            state.next_trial = None;
        }
        let statement = format!("BEGIN; SELECT {}", Backend::SQL);
        match tokio::time::timeout(TRIAL_LIMIT, ask_beside(backend, connector, &statement)).await {
            Ok(Ok((_, Relation::Same))) => Err(ConnectError::TransactionPooling),
            Ok(Ok((other, Relation::Sessions))) => Ok(Some(other)),
            // Statement mode refuses transactions, and gives each statement the session that was idle last.
            Ok(Err(ConnectError::SetUp(_))) if has_backend(connector, backend).await => {
                Err(ConnectError::TransactionPooling)
            }
            Ok(Ok((_, Relation::Servers)) | Err(_)) | Err(_) => Ok(self.nothing_learnt().await),
        }
    }

    async fn nothing_learnt(&self) -> Option<Other> {
        self.state.lock().await.next_trial = Some(Instant::now() + NEXT_TRIAL);
        None
    }

    /// Judges by what the first connection was answered, before and while the other held its transaction open.
    pub(super) async fn end_other(
        &self,
        other: Option<Other>,
        before: &SimpleQueryRow,
        meanwhile: &Result<SimpleQueryRow, ConnectError>,
    ) -> Result<(), ConnectError> {
        if let Ok(meanwhile) = meanwhile {
            match Backend::of(before).relation(&Backend::of(meanwhile)) {
                Relation::Same => {}
                Relation::Sessions => return Err(ConnectError::TransactionPooling),
                Relation::Servers => return Err(ConnectError::OtherServer),
            }
        }
        if let Some(Other { client, mut wire }) = other {
            // The transaction ends with the connection in any case.
            let ended = drive(&mut wire, client.batch_execute("ROLLBACK"));
            let _closed_anyway = tokio::time::timeout(TRIAL_LIMIT, ended).await;
            self.state.lock().await.passed += u32::from(meanwhile.is_ok());
        }
        Ok(())
    }
}

/// Runs `statement` on a connection of its own, at the server of `backend` if one of a few connections comes there.
async fn ask_beside(
    backend: &Backend,
    connector: &Connector,
    statement: &str,
) -> Result<(Other, Relation), ConnectError> {
    // They are kept until one comes there: a balancer that counts connections would lead to the same other server again.
    let mut elsewhere = Vec::new();
    loop {
        let (client, mut wire) = connector.dial().await?;
        let row = query(&client, &mut wire, statement).await?;
        let (other, relation) = (Other { client, wire }, Backend::of(&row).relation(backend));
        if relation != Relation::Servers || elsewhere.len() + 1 >= DIALS {
            return Ok((other, relation));
        }
        elsewhere.push(other);
    }
}

/// Whether another connection is answered by this backend.
async fn has_backend(connector: &Connector, backend: &Backend) -> bool {
    let statement = format!("SELECT {}", Backend::SQL);
    let asked = tokio::time::timeout(TRIAL_LIMIT, ask_beside(backend, connector, &statement)).await;
    matches!(asked, Ok(Ok((_, Relation::Same))))
}
