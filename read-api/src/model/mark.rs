//! How far a reader has read.

use std::fmt;
use std::str::FromStr;

/// A moment in the history of a database: whoever has read up to it has seen what every transaction before it wrote. It holds on
/// each server that has the same history, such as a streaming standby, also where that has not come as far yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which history. Transactions of another one may have the same ids.
    pub history: History,
    /// All transactions with lower ids have ended, and what they wrote has been seen.
    pub settled: i64,
}

/// A database and its standbys share a history until one of them is promoted: from then on it has one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// PostgreSQL's identifier of the database cluster.
    pub system: i64,
    /// It grows with every promotion.
    pub timeline: i32,
}

/// The text is not that of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of an event of this stream")]
pub struct NotAMark;

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { history: History { system, timeline }, settled } = self;
        write!(f, "{system}.{timeline}.{settled}")
    }
}

impl FromStr for Mark {
    type Err = NotAMark;

    fn from_str(text: &str) -> Result<Self, NotAMark> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or(NotAMark);
        let (system, timeline, settled) = (next()?, next()?, next()?);
        Ok(Self {
            history: History {
                system: system.parse().map_err(|_| NotAMark)?,
                timeline: timeline.parse().map_err(|_| NotAMark)?,
            },
            settled: settled.parse().map_err(|_| NotAMark)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_from_its_text() {
        let mark = Mark { history: History { system: -7_711, timeline: 2 }, settled: 4_711 };
        assert_eq!(mark.to_string().parse(), Ok(mark));
        for text in ["", "1", "1.2", "1.2.", "1.2.x", "1.2.3.4", "1.2.99999999999999999999", " 1.2.3"] {
            assert_eq!(text.parse::<Mark>(), Err(NotAMark), "{text}");
        }
    }
}
