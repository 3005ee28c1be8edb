//! The query parameters of a list.

use std::fmt::Write;
use std::str::FromStr;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use service_kit::problem::{FieldError, MAX_ERRORS, Problem};
use uuid::Uuid;

use crate::cursor::Customers;
use crate::model::{Filter, OrderStatus, WantedVersion};

/// The number of orders on a page if `limit` is not given.
pub(super) const DEFAULT_LIMIT: u8 = 20;

/// An example of `after`.
pub(super) const EXAMPLE_AFTER: &str = "0193a0c0-5f6e-7c1a-9d7e-000000000003:2";

/// The maximum number of orders on a page.
pub(super) const MAX_LIMIT: u8 = 100;

const NAMES: [&str; 6] = ["limit", "status", "placed_from", "placed_to", "cursor", "after"];

/// The parameters of a list, checked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListQuery {
    limit: Option<u8>,
    filter: Filter,
    cursor: Option<String>,
    /// An order and its version, which the list must show.
    after: Option<(Uuid, i32)>,
}

impl ListQuery {
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
        let Filter { placed_from, placed_to, .. } = query.filter;
        if placed_from.zip(placed_to).is_some_and(|(from, to)| from >= to) {
            errors.push(FieldError::parameter("placed_to", "must be later than placed_from"));
        }
        if !errors.is_empty() {
            return Err(Problem::invalid_parameters(errors));
        }
        // Naming every status is the same as no filter.
        if query.filter.statuses.len() == OrderStatus::ALL.len() {
            query.filter.statuses.clear();
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), FieldError> {
        let set = match name {
            "limit" => once(&mut self.limit, limit(value)),
            "status" => status(value).map(|status| {
                self.filter.statuses.insert(status);
            }),
            "placed_from" => once(&mut self.filter.placed_from, time(value)),
            "placed_to" => once(&mut self.filter.placed_to, time(value)),
            "cursor" => once(&mut self.cursor, Ok(value.to_owned())),
            "after" => once(&mut self.after, order_version(value)),
            _ => return Err(FieldError::unknown_parameter(&NAMES)),
        };
        set.map_err(|detail| FieldError::parameter(name, detail))
    }

    pub(super) fn limit(&self) -> u8 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }

    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The version that the list must show; with a customer, it must be an order of this customer.
    pub(super) fn wanted(&self, customers: Customers<'_>) -> Option<WantedVersion> {
        let customer_id = match customers {
            Customers::One(customer_id) => Some(customer_id.to_owned()),
            Customers::All => None,
        };
        self.after.map(|(order_id, version)| WantedVersion { order_id, version, customer_id })
    }

    /// The query of the next page: the same list, after `cursor`. It drops `after`, which the first page has proved: a
    /// client that needs it for the next page, too, adds it again.
    pub(super) fn next(&self, cursor: &str) -> String {
        let mut text = format!("limit={}", self.limit());
        let mut push = |name: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ok = write!(text, "&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        };
        for status in &self.filter.statuses {
            push("status", status.as_str());
        }
        for (name, time) in [("placed_from", self.filter.placed_from), ("placed_to", self.filter.placed_to)] {
            if let Some(time) = time {
                push(name, &time.to_rfc3339());
            }
        }
        push("cursor", cursor);
        text
    }
}

fn once<T>(slot: &mut Option<T>, value: Result<T, String>) -> Result<(), String> {
    match slot.replace(value?) {
        None => Ok(()),
        Some(_) => Err("must be given once".to_owned()),
    }
}

fn limit(value: &str) -> Result<u8, String> {
    let limit = digits(value).filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| format!("must be a whole number from 1 to {MAX_LIMIT}"))
}

/// Parses a number of digits only, without a sign.
pub(super) fn digits<N: FromStr>(value: &str) -> Option<N> {
    value.parse().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Parses `<order_id>:<version>`.
fn order_version(value: &str) -> Result<(Uuid, i32), String> {
    let parsed = value.rsplit_once(':').and_then(|(order_id, version)| {
        let version = digits(version).filter(|version| *version >= 1)?;
        Some((Uuid::try_parse(order_id).ok()?, version))
    });
    parsed.ok_or_else(|| {
        format!(
            "must be an order's id and version, such as {EXAMPLE_AFTER}: a UUID, `:`, and a number from 1"
        )
    })
}

fn status(value: &str) -> Result<OrderStatus, String> {
    let names = || OrderStatus::ALL.map(OrderStatus::as_str).join(", ");
    OrderStatus::from_name(value).ok_or_else(|| format!("must be one of {}", names()))
}

/// Parses a time and rounds it up to microseconds. `placed_at` has whole microseconds, so the same orders match.
fn time(value: &str) -> Result<DateTime<Utc>, String> {
    let time = DateTime::parse_from_rfc3339(value).map_err(|_| {
        "must be a time in RFC 3339 format, such as 2026-11-23T10:00:00Z (write + as %2B)".to_owned()
    })?;
    let down = time.to_utc().trunc_subsecs(6);
    Ok(if down < time { down + TimeDelta::microseconds(1) } else { down })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<ListQuery, Problem> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ListQuery::parse(&pairs)
    }

    #[test]
    fn the_query_of_the_next_page_repeats_all_parameters() {
        let query = parse(&[
            ("status", "shipped"),
            ("limit", "7"),
            ("status", "paid"),
            ("placed_from", "2026-11-23T10:00:00+01:00"),
            ("cursor", "old"),
            ("after", "0193a0c0-5f6e-7c1a-9d7e-000000000003:2"),
        ])
        .unwrap();
        assert_eq!(
            query.next("a_b-c"),
            "limit=7&status=paid&status=shipped&placed_from=2026%2D11%2D23T09%3A00%3A00%2B00%3A00&cursor=a%5Fb%2Dc"
        );
    }

    #[test]
    fn all_statuses_are_no_filter_and_a_repeated_status_counts_once() {
        let all = OrderStatus::ALL.map(|status| ("status", status.as_str()));
        assert_eq!(parse(&all).unwrap(), ListQuery::default());
        assert_eq!(parse(&[("status", "paid"); 2]).unwrap(), parse(&[("status", "paid")]).unwrap());
    }

    #[test]
    fn a_time_between_two_microseconds_counts_as_the_later_one() {
        let from = |text| parse(&[("placed_from", text)]).unwrap().filter.placed_from;
        assert_eq!(from("2026-11-23T10:00:00.0000001Z"), from("2026-11-23T10:00:00.000001Z"));
        assert_ne!(from("2026-11-23T10:00:00Z"), from("2026-11-23T10:00:00.000001Z"));
    }

    #[test]
    fn every_wrong_parameter_is_reported() {
        let problem =
            parse(&[("limit", "0"), ("status", "lost"), ("placed_to", "noon"), ("sort", "up")]).unwrap_err();
        let problem = serde_json::to_value(problem).unwrap();
        let named: Vec<_> =
            problem["errors"].as_array().unwrap().iter().map(|error| &error["parameter"]).collect();
        assert_eq!(named, ["limit", "status", "placed_to", "?"]);
        let detail = problem["errors"][3]["detail"].as_str().unwrap();
        for name in NAMES {
            assert!(detail.contains(name), "{detail}");
            let error = ListQuery::default().set(name, "").err();
            assert_ne!(error, Some(FieldError::unknown_parameter(&NAMES)), "{name}");
        }
    }
}
