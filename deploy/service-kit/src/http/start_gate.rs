//! Connections to a new process wait until it can do its work.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::health::Health;

/// A process that is still not ready then serves all the same: its responses say what is wrong.
const LONGEST: Duration = Duration::from_secs(2);

const PAUSE: Duration = Duration::from_millis(5);

/// Is cancelled when `health` is ready for the first time, or after two seconds. Some load balancers send requests to a
/// new address before their first check of it has ended: these wait instead of being refused.
///
/// # Panics
///
/// Outside a tokio runtime.
pub(super) fn opened_when_ready(health: Health) -> CancellationToken {
    let gate = CancellationToken::new();
    // However the task ends, nobody waits for ever.
    let opens = gate.clone().drop_guard();
    tokio::spawn(async move {
        let _opens = opens;
        let ready = async {
            while health.ready().is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let _opens_anyway = tokio::time::timeout(LONGEST, ready).await;
    });
    gate
}

/// A gate that is open from the start.
pub(super) fn open() -> CancellationToken {
    let gate = CancellationToken::new();
    gate.cancel();
    gate
}
