//! A caller whose token was verified, and how long that counts.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::Algorithm;

use super::Caller;
use super::forbidden::Forbidden;
use super::keys::{KeyVersion, Keys};
use crate::shares::{FairShares, Subject};

/// The longest time between two reads of the system clock, which may be set.
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// The system clock; tests have their own.
pub(super) type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// A caller whose token was verified.
pub(super) struct Verified {
    pub(super) caller: Caller,
    pub(super) kid: Box<str>,
    /// That of its signature.
    pub(super) algorithm: Algorithm,
    /// The keys that verified it.
    pub(super) version: Arc<KeyVersion>,
    pub(super) keys: Arc<Keys>,
    pub(super) clock: Clock,
    pub(super) forbidden: Arc<Forbidden>,
    pub(super) shares: Arc<FairShares>,
    pub(super) subject: Subject,
}

impl Verified {
    /// Completes when the token has expired, or its key no longer verifies tokens.
    pub(super) async fn ended(self: Arc<Self>) {
        let mut versions = self.keys.watch();
        while let Some(left) = self.time_left().filter(|_| self.has_its_key()) {
            tokio::select! {
                () = tokio::time::sleep(left.min(CLOCK_CHECK)) => {}
                changed = versions.changed() => if changed.is_err() { return },
            }
        }
    }

    fn time_left(&self) -> Option<Duration> {
        (self.caller.expires - (self.clock)()).to_std().ok().filter(|left| !left.is_zero())
    }

    fn has_its_key(&self) -> bool {
        let now = self.keys.current();
        let keys = now.keys.find(&self.kid).zip(self.version.keys.find(&self.kid));
        keys.is_some_and(|(key, used)| key.is_same_key(used) && key.fits(self.algorithm))
    }
}
