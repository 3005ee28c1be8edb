//! `timestamptz` values as PostgreSQL stores them.

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::data_types::PgTimestamp;
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::Timestamptz;
use serde::{Serialize, Serializer};

/// Microseconds from 1970 to 2000, where PostgreSQL counts from.
const EPOCH_2000: i64 = 946_684_800_000_000;
/// The years 1 to 9999, which RFC 3339 can express, in microseconds since 1970.
const FIRST: i64 = -62_135_596_800_000_000;
const LAST: i64 = 253_402_300_799_999_999;

/// Any `timestamptz`. PostgreSQL also stores infinities and years beyond 9999; a stricter type would fail the whole
/// statement, and with it all other rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromSqlRow)]
pub struct StoredTime {
    /// Microseconds since 1970.
    micros: i64,
}

impl StoredTime {
    /// The time, or the nearest one in the years 1 to 9999.
    #[must_use]
    pub fn clamped(self) -> DateTime<Utc> {
        // Never the default: every value in this range is a time.
        DateTime::from_timestamp_micros(self.micros.clamp(FIRST, LAST)).unwrap_or_default()
    }

    /// The time, if it is in the years 1 to 9999.
    #[must_use]
    pub fn exact(self) -> Option<DateTime<Utc>> {
        (FIRST..=LAST).contains(&self.micros).then(|| self.clamped())
    }
}

impl From<DateTime<Utc>> for StoredTime {
    fn from(time: DateTime<Utc>) -> Self {
        Self { micros: time.timestamp_micros() }
    }
}

/// As [`Self::clamped`].
impl Serialize for StoredTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.clamped().serialize(serializer)
    }
}

impl FromSql<Timestamptz, Pg> for StoredTime {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let PgTimestamp(since_2000) = FromSql::<Timestamptz, Pg>::from_sql(value)?;
        Ok(Self { micros: since_2000.saturating_add(EPOCH_2000) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_beyond_the_years_1_to_9999_is_clamped() {
        for (micros, clamped) in [
            (i64::MIN, "0001-01-01T00:00:00+00:00"),
            (FIRST, "0001-01-01T00:00:00+00:00"),
            (0, "1970-01-01T00:00:00+00:00"),
            (LAST, "9999-12-31T23:59:59.999999+00:00"),
            (i64::MAX, "9999-12-31T23:59:59.999999+00:00"),
        ] {
            assert_eq!(StoredTime { micros }.clamped().to_rfc3339(), clamped);
        }
        assert_eq!(StoredTime { micros: LAST }.exact().map(|time| time.timestamp_micros()), Some(LAST));
        assert_eq!(StoredTime { micros: LAST + 1 }.exact(), None);
        assert_eq!(StoredTime { micros: FIRST - 1 }.exact(), None);
    }
}
