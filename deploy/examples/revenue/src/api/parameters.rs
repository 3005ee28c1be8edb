//! Query parameters, checked.

use service_kit::problem::{FieldError, Problem};

/// The number of rows on a page if `limit` is not given.
pub(super) const DEFAULT_LIMIT: i64 = 100;

/// The maximum number of rows on a page.
pub(super) const MAX_LIMIT: i64 = 1_000;

/// Most characters of a SKU.
const SKU_MAX: usize = 64;

/// What a resource is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters<After> {
    by: Option<()>,
    limit: Option<i64>,
    after: Option<After>,
}

/// The last row of the previous page of months. Both are empty if they are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MonthAndCurrency {
    pub(super) month: String,
    pub(super) currency: String,
}

impl Parameters<MonthAndCurrency> {
    /// `by`, `limit` and `after`. All wrong parameters are reported together.
    pub(super) fn of_revenue(pairs: &[(String, String)]) -> Result<Self, Problem> {
        Self::parse(pairs, &["by", "limit", "after"], |query, name, value| match name {
            "by" if value == "month" => once(&mut query.by, ()),
            "by" => Err("must be month".to_owned()),
            _ => once(&mut query.after, month_and_currency(value)?),
        })
    }
}

impl Parameters<String> {
    /// `limit` and `after`.
    pub(super) fn of_skus(pairs: &[(String, String)]) -> Result<Self, Problem> {
        Self::parse(pairs, &["limit", "after"], |query, _, value| once(&mut query.after, sku(value)?))
    }
}

impl<After> Parameters<After> {
    /// `set` is called for the names of `known`, besides `limit`.
    fn parse(
        pairs: &[(String, String)],
        known: &[&str],
        set: impl Fn(&mut Self, &str, &str) -> Result<(), String>,
    ) -> Result<Self, Problem> {
        let mut query = Self { by: None, limit: None, after: None };
        let mut errors = Vec::new();
        for (name, value) in pairs {
            let is_set = match name.as_str() {
                name if !known.contains(&name) => Err(FieldError::unknown_parameter(known)),
                "limit" => limit(value)
                    .and_then(|limit| once(&mut query.limit, limit))
                    .map_err(|detail| FieldError::parameter(name, detail)),
                name => set(&mut query, name, value).map_err(|detail| FieldError::parameter(name, detail)),
            };
            // Each once: all unknown parameters are the same error.
            if let Err(error) = is_set
                && !errors.contains(&error)
            {
                errors.push(error);
            }
        }
        if errors.is_empty() { Ok(query) } else { Err(Problem::invalid_parameters(errors)) }
    }

    pub(super) fn limit(&self) -> i64 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }

    pub(super) fn into_after(self) -> Option<After> {
        self.after
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err("must be given once".to_owned()),
    }
}

fn limit(value: &str) -> Result<i64, String> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let limit = value.parse().ok().filter(|limit| digits && (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| format!("must be a whole number from 1 to {MAX_LIMIT}"))
}

/// Parses `2026-11.EUR`; each part may be missing.
fn month_and_currency(value: &str) -> Result<MonthAndCurrency, String> {
    let is_month = |month: &str| {
        month.is_empty()
            || month.split_once('-').is_some_and(|(year, month)| is_digits(year, 4) && is_digits(month, 2))
    };
    let is_code =
        |code: &str| code.is_empty() || code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let parts = value.split_once('.').filter(|(month, currency)| is_month(month) && is_code(currency));
    parts
        .map(|(month, currency)| MonthAndCurrency { month: month.to_owned(), currency: currency.to_owned() })
        .ok_or_else(|| "must be `next` of the previous page, such as 2026-11.EUR".to_owned())
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn sku(value: &str) -> Result<String, String> {
    let fits = (1..=SKU_MAX).contains(&value.chars().count()) && !value.contains('\0');
    if fits { Ok(value.to_owned()) } else { Err(format!("must have 1 to {SKU_MAX} characters, and no NUL")) }
}

impl MonthAndCurrency {
    /// `after` of the next page.
    pub(super) fn to_next(&self) -> String {
        format!("{}.{}", self.month, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_next_is_accepted_as_after() {
        for (month, currency) in [("2026-11", "EUR"), ("", "EUR"), ("2026-11", ""), ("", "")] {
            let row = MonthAndCurrency { month: month.to_owned(), currency: currency.to_owned() };
            assert_eq!(month_and_currency(&row.to_next()), Ok(row));
        }
    }

    #[test]
    fn every_wrong_parameter_is_reported() {
        for after in ["", "2026-11", "2026.EUR", "2026-1.EUR", "2026-11.eur", "2026-11.EURO", "26-11-1.EUR"] {
            assert!(month_and_currency(after).is_err(), "{after}");
        }
        let wrong = pairs(&[("by", "week"), ("limit", "0"), ("after", "x"), ("month", "1")]);
        let problem = Parameters::of_revenue(&wrong).unwrap_err();
        let problem = serde_json::to_value(problem).unwrap();
        let named: Vec<_> =
            problem["errors"].as_array().unwrap().iter().map(|error| &error["parameter"]).collect();
        assert_eq!(named, ["by", "limit", "after", "?"]);
        for limit in ["1001", "-1", "+1", "", "x", "99999999999999999999"] {
            assert!(Parameters::of_skus(&pairs(&[("limit", limit)])).is_err(), "{limit}");
        }
        assert!(Parameters::of_skus(&pairs(&[("limit", "1"), ("limit", "1")])).is_err());
        assert!(Parameters::of_skus(&pairs(&[("after", &"x".repeat(65))])).is_err());
    }
}
