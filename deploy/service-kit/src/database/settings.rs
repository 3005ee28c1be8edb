//! The settings that every session must have.
//!
//! They are sent with the start of the connection, so that they survive `DISCARD ALL`. A pooler may drop or refuse them
//! there, so each session also sets them, and compares.

use tokio_postgres::SimpleQueryRow;

use super::backend::Backend;

/// The settings of a session, in the order in which they are set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// Names in lower case, and values: first those of the URL's `options`, then our own.
    all: Vec<(String, String)>,
    /// How many are the URL's.
    of_url: usize,
}

/// A setting is not what it was set to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the session has lost the setting {name}")]
pub struct LostSetting {
    /// Name of the setting.
    pub name: String,
}

impl Settings {
    /// Those of `options`, as libpq reads them, and behind them `settings`, each `name=value`.
    pub(super) fn of(options: &str, settings: impl IntoIterator<Item = String>) -> Self {
        let mut all = named_in(options);
        let of_url = all.len();
        all.extend(settings.into_iter().filter_map(|setting| split(&setting)));
        Self { all, of_url }
    }

    /// What is sent when the connection starts. Options that are no settings stay as they are.
    pub(super) fn options(&self, options: &str) -> String {
        let mut all = options.trim().to_owned();
        for (name, value) in self.all.iter().skip(self.of_url) {
            let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
            all.extend([" -c ", name, "=", value.as_str()]);
        }
        all.trim_start().to_owned()
    }

    /// Sets them all. The row has the backend, and the value of each setting as PostgreSQL writes it.
    pub(super) fn set(&self) -> String {
        self.query(|name, value, is_of_url| {
            let set = format!("set_config({name}, {value}, false)");
            // Some can only be set when a connection starts. No process has one of its own of these.
            if is_of_url {
                format!(
                    "CASE WHEN EXISTS (SELECT FROM pg_settings WHERE lower(name) = {name} AND context LIKE '%backend') \
                     THEN current_setting({name}, true) ELSE {set} END"
                )
            } else {
                set
            }
        })
    }

    /// Asks for them all, in the same form.
    pub(super) fn show(&self) -> String {
        self.query(|name, _, _| format!("current_setting({name}, true)"))
    }

    fn query(&self, column: impl Fn(&str, &str, bool) -> String) -> String {
        let mut query = format!("SELECT {}", Backend::SQL);
        for (index, (name, value)) in self.all.iter().enumerate() {
            query.push_str(", ");
            query.push_str(&column(&quoted(name), &quoted(value), index < self.of_url));
        }
        query
    }

    /// Compares what was set with what is in force.
    pub(super) fn compare(&self, set: &SimpleQueryRow, shown: &SimpleQueryRow) -> Result<(), LostSetting> {
        for (column, (name, _)) in (1..).zip(&self.all) {
            // A setting that is named twice has the value of its last mention.
            let is_last = self.all.iter().skip(column).all(|(later, _)| later != name);
            if is_last && set.try_get(column).ok() != shown.try_get(column).ok() {
                return Err(LostSetting { name: name.clone() });
            }
        }
        Ok(())
    }
}

/// The settings in libpq's `options`: `-c name=value`, `-cname=value` or `--name=value`, with a backslash before a blank that
/// belongs to a value.
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

/// PostgreSQL takes names in any case, and no two differ in their case only.
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
    fn settings_are_sent_behind_the_options_and_asked_for_with_them() {
        let settings = Settings::of("-c role=reader", ["lock_timeout=300".to_owned()]);
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
    fn a_name_in_capitals_is_the_same_setting() {
        let ours = ["statement_timeout=4000".to_owned()];
        let settings = Settings::of("-c STATEMENT_TIMEOUT=9s --Lock-Timeout=1s", ours);
        let names: Vec<_> = settings.all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["statement_timeout", "lock_timeout", "statement_timeout"]);
        assert_eq!(
            settings.options("-c STATEMENT_TIMEOUT=9s"),
            "-c STATEMENT_TIMEOUT=9s -c statement_timeout=4000"
        );
    }
}
