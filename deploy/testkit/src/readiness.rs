//! Waits for a readiness.

use std::time::Duration;

use anyhow::Result;
use reqwest::StatusCode;

use crate::wait;

const SOON: Duration = Duration::from_secs(30);

/// Waits until `/readyz` at `admin_url` returns this status.
///
/// # Errors
///
/// After 30 seconds.
pub async fn until_ready_is(admin_url: &str, expected: StatusCode) -> Result<()> {
    let url = format!("{admin_url}/readyz");
    wait::until("readiness to change", SOON, || async {
        let status = reqwest::get(&url).await.map(|response| response.status());
        if matches!(status, Ok(status) if status == expected) { Ok(()) } else { Err(status) }
    })
    .await?;
    Ok(())
}

/// Waits until the process is not ready for a reason that contains `text`.
///
/// # Errors
///
/// After 30 seconds.
pub async fn until_not_ready_because(admin_url: &str, text: &str) -> Result<()> {
    let url = format!("{admin_url}/readyz");
    wait::until("the reason", SOON, || async {
        let body = async { reqwest::get(&url).await?.text().await };
        match body.await {
            Ok(body) if body.contains("/problems/unavailable") && body.contains(text) => Ok(()),
            other => Err(other),
        }
    })
    .await?;
    Ok(())
}
