//! How many orders are audited, and how often.

use std::time::Duration;

use serde::Deserialize;
use service_kit::config::{self, ConfigError, Vars, in_range};

/// The shortest pause between two pages.
pub(super) const PAGE_EVERY: Duration = Duration::from_secs(1);
/// A pause lasts for this many times the query before: so the audit takes up to a twentieth of one connection.
const PAUSES_PER_QUERY: u32 = 19;

/// The `AUDIT_*` variables.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct AuditConfig {
    /// `AUDIT_ORDERS_PER_S`: how many orders are audited a second, 0 to 10 000. Default 200. With 0, this process
    /// audits none.
    #[serde(default = "default_orders_per_s")]
    orders_per_s: i32,
}

const fn default_orders_per_s() -> i32 {
    200
}

impl AuditConfig {
    /// Reads and checks the variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let config: Self = config::read("AUDIT_", vars)?;
        in_range("AUDIT_ORDERS_PER_S", &config.orders_per_s, &(0..=10_000))?;
        Ok(config)
    }

    /// None if nothing is to be audited.
    pub(super) fn pace(self) -> Option<Pace> {
        (self.orders_per_s > 0).then_some(Pace { largest: self.orders_per_s, page: self.orders_per_s })
    }
}

/// The size of the next page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pace {
    largest: i32,
    page: i32,
}

impl Pace {
    /// How many orders the next page has.
    pub(super) fn page(&self) -> i32 {
        self.page
    }

    /// A query has taken this long. Returns the pause until the next one. After a failure, which may be a timeout, the
    /// next page is half as large.
    pub(super) fn queried(&mut self, took: Duration, is_done: bool) -> Duration {
        self.page =
            if is_done { self.page.saturating_mul(2).min(self.largest) } else { (self.page / 2).max(1) };
        PAGE_EVERY.max(took.saturating_mul(PAUSES_PER_QUERY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(value: &str) -> Result<AuditConfig, ConfigError> {
        AuditConfig::from_vars(&vec![("AUDIT_ORDERS_PER_S".to_owned(), value.to_owned())])
    }

    #[test]
    fn the_audit_takes_a_twentieth_of_a_connection_at_most() {
        let mut pace = config("200").unwrap().pace().unwrap();
        assert_eq!(pace.queried(Duration::from_millis(10), true), Duration::from_secs(1));
        assert_eq!(pace.queried(Duration::from_millis(100), true), Duration::from_millis(1900));
        assert_eq!(pace.queried(Duration::from_secs(4), false), Duration::from_secs(76));
    }

    #[test]
    fn pages_are_smaller_after_failures_and_never_larger_than_configured() {
        let mut pace = config("5").unwrap().pace().unwrap();
        let mut after = |is_done| {
            let _pause = pace.queried(Duration::ZERO, is_done);
            pace.page()
        };
        assert_eq!([true, false, false, false, true, true, true].map(&mut after), [5, 2, 1, 1, 2, 4, 5]);
    }

    #[test]
    fn zero_switches_it_off_and_a_bad_value_is_reported_by_name() {
        assert_eq!(config("0").unwrap().pace(), None);
        for value in ["-1", "10001", "many"] {
            let error = config(value).unwrap_err().to_string();
            assert!(error.contains("AUDIT_ORDERS_PER_S"), "{value}: {error}");
        }
    }
}
