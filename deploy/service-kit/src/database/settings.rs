//! The settings that every session must have.
//!
//! They are sent as startup options, so that they survive `DISCARD ALL`. A pooler may drop or refuse startup options,
//! so each session also sets them and reads them back.

use tokio_postgres::SimpleQueryRow;

use super::backend::Backend;

/// The settings of a session, in the order in which they are set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// Names in lower case and values: those of the URL's `options` first, then our own.
    all: Vec<(String, String)>,
    from_url: usize,
}

/// A setting does not have the value it was set to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the session has lost the setting {name}")]
pub struct LostSetting {
    /// The setting.
    pub name: String,
}

impl Settings {
    /// The settings in `options`, read as libpq does, followed by `settings`, each `name=value`.
    pub(super) fn new(options: &str, settings: impl IntoIterator<Item = String>) -> Self {
        let mut all = named_in(options);
        let from_url = all.len();
        all.extend(settings.into_iter().filter_map(|setting| split(&setting)));
        Self { all, from_url }
    }

    /// The startup options. Parts of `options` that are not settings stay unchanged.
    pub(super) fn options(&self, options: &str) -> String {
        let mut all = options.trim().to_owned();
        for (name, value) in self.all.iter().skip(self.from_url) {
            let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
            all.extend([" -c ", name, "=", value.as_str()]);
        }
        all.trim_start().to_owned()
    }

    /// A statement that sets all. Its row has the backend, then each value as PostgreSQL prints it.
    pub(super) fn set(&self) -> String {
        self.query(|name, value, is_from_url| {
            let set = format!("set_config({name}, {value}, false)");
            // Some of the URL's settings can only be set at startup; none of our own.
            if is_from_url {
                format!(
                    "CASE WHEN EXISTS (SELECT FROM pg_settings WHERE lower(name) = {name} AND context LIKE '%backend') \
                     THEN current_setting({name}, true) ELSE {set} END"
                )
            } else {
                set
            }
        })
    }

    /// A statement that reads all, with the same row.
    pub(super) fn show(&self) -> String {
        self.query(|name, _, _| format!("current_setting({name}, true)"))
    }

    fn query(&self, column: impl Fn(&str, &str, bool) -> String) -> String {
        let mut query = format!("SELECT {}", Backend::SQL);
        for (index, (name, value)) in self.all.iter().enumerate() {
            query.push_str(", ");
            query.push_str(&column(&quoted(name), &quoted(value), index < self.from_url));
        }
        query
    }

    /// Compares the values set with the values in force.
    pub(super) fn compare(&self, set: &SimpleQueryRow, shown: &SimpleQueryRow) -> Result<(), LostSetting> {
        self.compare_columns(|column| set.try_get(column).ok() == shown.try_get(column).ok())
    }

    /// `is_same`: whether a column of the two rows has the same value. The first one has the backend.
    fn compare_columns(&self, is_same: impl Fn(usize) -> bool) -> Result<(), LostSetting> {
        for (column, (name, _)) in (1..).zip(&self.all) {
            // If a setting occurs twice, the last value counts.
            let is_last = self.all.iter().skip(column).all(|(later, _)| later != name);
            if is_last && !is_same(column) {
                return Err(LostSetting { name: name.clone() });
            }
        }
        Ok(())
    }
}

/// The settings in libpq's `options`: `-c name=value`, `-cname=value` or `--name=value`. A backslash escapes a blank in
/// a value.
fn named_in(options: &str) -> Vec<(String, String)> {
    let mut words = words_of(options).into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next(),
            Some(setting) => Some(setting.to_owned()),
            None => None,
        };
        settings.extend(setting.as_deref().and_then(split));
    }
    settings
}

fn words_of(options: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match (character, words.last_mut()) {
            ('\\', Some(word)) => word.extend(characters.next()),
            (blank, _) if blank.is_ascii_whitespace() => words.push(String::new()),
            (other, Some(word)) => word.push(other),
            (_, None) => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Names of settings are case-insensitive.
fn split(setting: &str) -> Option<(String, String)> {
    let (name, value) = setting.split_once('=')?;
    Some((name.trim().replace('-', "_").to_ascii_lowercase(), value.to_owned()))
}

fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_libpq_does() {
        let options = r"-c role=reader --statement-timeout=5 -csearch_path=a,\ b -d 3";
        let names = [("role", "reader"), ("statement_timeout", "5"), ("search_path", "a, b")];
        assert_eq!(named_in(options), names.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn settings_are_sent_after_the_options_and_read_back_with_them() {
        let settings = Settings::new("-c role=reader", ["lock_timeout=300".to_owned()]);
        assert_eq!(settings.options("-c role=reader"), "-c role=reader -c lock_timeout=300");
        assert_eq!(
            settings.set(),
            format!(
                "SELECT {}, CASE WHEN EXISTS (SELECT FROM pg_settings WHERE lower(name) = E'role' \
                 AND context LIKE '%backend') THEN current_setting(E'role', true) \
                 ELSE set_config(E'role', E'reader', false) END, set_config(E'lock_timeout', E'300', false)",
                Backend::SQL
            )
        );
        assert_eq!(quoted(r"it's \"), r"E'it\'s \\'");
    }

    #[test]
    fn the_first_setting_that_was_lost_is_named_and_of_one_that_occurs_twice_the_last_value_counts() {
        let ours = ["statement_timeout=4000", "lock_timeout=300"].map(str::to_owned);
        let settings = Settings::new("-c Statement_Timeout=9s -c role=reader", ours);
        let lost = |lost: &[usize]| {
            let compared = settings.compare_columns(|column| !lost.contains(&column));
            compared.err().map(|lost| lost.to_string())
        };
        let named = |name| Some(format!("the session has lost the setting {name}"));
        assert_eq!(lost(&[]), None);
        assert_eq!(lost(&[0]), None, "the backend is no setting");
        assert_eq!(lost(&[1]), None, "set again by a later one");
        assert_eq!(lost(&[2]), named("role"));
        assert_eq!(lost(&[3]), named("statement_timeout"));
        assert_eq!(lost(&[4]), named("lock_timeout"));
        assert_eq!(lost(&[1, 3, 4]), named("statement_timeout"));
        assert_eq!(lost(&[5]), None, "there is no such column");
    }

    #[test]
    fn a_name_in_capitals_is_the_same_setting() {
        let ours = ["statement_timeout=4000".to_owned()];
        let settings = Settings::new("-c STATEMENT_TIMEOUT=9s --Lock-Timeout=1s", ours);
        let names: Vec<_> = settings.all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["statement_timeout", "lock_timeout", "statement_timeout"]);
        assert_eq!(
            settings.options("-c STATEMENT_TIMEOUT=9s"),
            "-c STATEMENT_TIMEOUT=9s -c statement_timeout=4000"
        );
    }
}
