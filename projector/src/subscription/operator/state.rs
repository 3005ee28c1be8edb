//! Pause, resume, remove.

use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::OperatorError;
use super::queries::{self, CountParked, PAUSED, RUNNING, RemoveSubscription, SetState};

/// Stops the subscription until it is resumed. It keeps its checkpoint.
///
/// # Errors
///
/// [`OperatorError`], for example if it feeds a webhook endpoint: nobody would see why that gets no events.
pub async fn pause(connection: &mut AsyncPgConnection, name: &str) -> Result<(), OperatorError> {
    queries::refuse_if_fed(connection, name, "pause").await?;
    set_state(connection, name, PAUSED).await
}

/// Lets the subscription go on. One that pauses after a failure tries again at once.
///
/// # Errors
///
/// [`OperatorError`]
pub async fn resume(connection: &mut AsyncPgConnection, name: &str) -> Result<(), OperatorError> {
    set_state(connection, name, RUNNING).await
}

async fn set_state(
    connection: &mut AsyncPgConnection,
    name: &str,
    state: &'static str,
) -> Result<(), OperatorError> {
    if queries::lock(connection, name).await?.is_lost() {
        return Err(OperatorError::Lost(name.to_owned()));
    }
    RunQueryDsl::execute(SetState { state, name }, connection).await?;
    Ok(())
}

/// Removes a subscription that is not running and has no parked events.
///
/// # Errors
///
/// [`OperatorError`], for example if it feeds a webhook endpoint, which would get no more events.
pub async fn remove(connection: &mut AsyncPgConnection, name: &str) -> Result<(), OperatorError> {
    queries::refuse_if_fed(connection, name, "remove").await?;
    if queries::lock(connection, name).await?.is_running() {
        return Err(OperatorError::Running(name.to_owned()));
    }
    let events: i64 = RunQueryDsl::get_result(CountParked { name }, connection).await?;
    if events > 0 {
        return Err(OperatorError::HasParked { name: name.to_owned(), events });
    }
    RunQueryDsl::execute(RemoveSubscription { name }, connection).await?;
    Ok(())
}
