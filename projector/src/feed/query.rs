//! The query parameters of the feed.

use service_kit::problem::{FieldError, MAX_ERRORS, Problem};

use super::checkpoint::Checkpoint;
use super::kinds::Kinds;

/// The most events of a response if `limit` is not given.
pub(super) const DEFAULT_LIMIT: usize = 100;

/// The highest `limit`.
pub(super) const MAX_LIMIT: usize = 1_000;

const NAMES: [&str; 3] = ["after", "limit", "kind"];

/// Where a client starts to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum After {
    /// At the oldest event of the log.
    #[default]
    Start,
    /// With the events that are logged from now on.
    Now,
    /// After the events that it has.
    Checkpoint(Checkpoint),
}

/// The parameters, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FeedQuery {
    after: Option<After>,
    limit: Option<usize>,
    pub(super) kinds: Kinds,
}

impl FeedQuery {
    /// Reports all wrong parameters together, up to [`MAX_ERRORS`].
    pub(super) fn parse(pairs: &[(String, String)]) -> Result<Self, Problem> {
        let (mut query, mut errors) = (Self::default(), Vec::new());
        for (name, value) in pairs {
            // Each once: all unknown parameters are the same error.
            if let Err(error) = query.set(name, value)
                && !errors.contains(&error)
            {
                errors.push(error);
            }
            if errors.len() == MAX_ERRORS {
                break;
            }
        }
        if errors.is_empty() { Ok(query) } else { Err(Problem::invalid_parameters(errors)) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), FieldError> {
        let set = match name {
            "after" => once(&mut self.after, after(value)),
            "limit" => once(&mut self.limit, limit(value)),
            "kind" => self.kinds.insert(value).map_err(|error| error.to_string()),
            _ => return Err(FieldError::unknown_parameter(&NAMES)),
        };
        set.map_err(|detail| FieldError::parameter(name, detail))
    }

    pub(super) fn after(&self) -> After {
        self.after.unwrap_or_default()
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

fn once<T>(slot: &mut Option<T>, value: Result<T, String>) -> Result<(), String> {
    match slot.replace(value?) {
        None => Ok(()),
        Some(_) => Err("must be given once".to_owned()),
    }
}

fn after(value: &str) -> Result<After, String> {
    match value {
        "now" => Ok(After::Now),
        checkpoint => checkpoint.parse().map(After::Checkpoint).map_err(|error| format!("{error}")),
    }
}

fn limit(value: &str) -> Result<usize, String> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let limit = value.parse().ok().filter(|limit| is_number && (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| format!("must be a whole number from 1 to {MAX_LIMIT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<FeedQuery, Problem> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        FeedQuery::parse(&pairs)
    }

    #[test]
    fn without_parameters_it_starts_at_the_oldest_event() {
        let query = parse(&[]).unwrap();
        assert_eq!((query.after(), query.limit()), (After::Start, DEFAULT_LIMIT));
        let checkpoint = Checkpoint { history: 1, position: 2 };
        let query = parse(&[("after", &checkpoint.to_string()), ("limit", "7")]).unwrap();
        assert_eq!((query.after(), query.limit()), (After::Checkpoint(checkpoint), 7));
        assert_eq!(parse(&[("after", "now")]).unwrap().after(), After::Now);
    }

    #[test]
    fn every_wrong_parameter_is_reported() {
        let wrong = [
            ("limit", "0"),
            ("limit", "+5"),
            ("limit", "1001"),
            ("kind", "order_lost"),
            ("after", "later"),
            ("sort", "up"),
        ];
        let problem = serde_json::to_value(parse(&wrong).unwrap_err()).unwrap();
        let errors = problem["errors"].as_array().unwrap();
        let named: Vec<_> = errors.iter().map(|error| error["parameter"].as_str().unwrap()).collect();
        assert_eq!(named, ["limit", "kind", "after", "?"]);
        for name in NAMES {
            assert!(errors[3]["detail"].as_str().unwrap().contains(name), "{problem}");
            let error = FeedQuery::default().set(name, "").err();
            assert_ne!(error, Some(FieldError::unknown_parameter(&NAMES)), "{name}");
        }
        for name in ["after", "limit"] {
            let value = if name == "after" { "now" } else { "5" };
            let problem = parse(&[(name, value), (name, value)]).unwrap_err().to_string();
            assert!(problem.contains(&format!("`{name}` must be given once")), "{problem}");
        }
    }
}
