//! How long a client may ask to wait: `Prefer: wait=<seconds>`.

use std::time::Duration;

use actix_web::HttpRequest;
pub(super) use service_kit::preference::PREFERENCE_APPLIED;

/// The maximum wait, in seconds. Longer preferences count as this.
pub(super) const MAX_WAIT_S: u64 = 10;

/// The time that the client prefers to wait.
pub(super) fn wait(request: &HttpRequest) -> Option<Duration> {
    service_kit::preference::wait(request, MAX_WAIT_S)
}
