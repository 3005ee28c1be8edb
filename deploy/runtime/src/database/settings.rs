//! The settings that every session must have.
//!
//! They are sent with the start of the connection, so that they survive `DISCARD ALL`. A pooler may drop or refuse them
//! there, so each session also sets them, and compares.

use tokio_postgres::SimpleQueryRow;

/// Names and values, in the order in which they are set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings(Vec<(String, String)>);

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
        let mut own: Vec<_> = named_in(options);
        own.extend(settings.into_iter().filter_map(|setting| split(&setting)));
        Self(own)
    }

    /// What is sent when the connection starts. Options that are no settings stay as they are.
    pub(super) fn options(&self, options: &str) -> String {
        let mut all = options.trim().to_owned();
        let known = named_in(options).len();
        for (name, value) in self.0.iter().skip(known) {
            let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
            all.extend([" -c ", name, "=", value.as_str()]);
        }
        all.trim_start().to_owned()
    }

    /// Sets them all. The row has the id of the backend, and the value of each setting as PostgreSQL writes it.
    pub(super) fn set(&self) -> String {
        self.query(|name, value| format!("set_config({name}, {value}, false)"))
    }

    /// Asks for them all, in the same form.
    pub(super) fn show(&self) -> String {
        self.query(|name, _| format!("current_setting({name}, true)"))
    }

    fn query(&self, column: impl Fn(&str, &str) -> String) -> String {
        let mut query = "SELECT pg_backend_pid()".to_owned();
        for (name, value) in &self.0 {
            query.push_str(", ");
            query.push_str(&column(&quoted(name), &quoted(value)));
        }
        query
    }

    /// Compares what was set with what is in force.
    pub(super) fn compare(&self, set: &SimpleQueryRow, shown: &SimpleQueryRow) -> Result<(), LostSetting> {
        for (column, (name, _)) in (1..).zip(&self.0) {
            // A setting that is named twice has the value of its last mention.
            let is_last = self.0.iter().skip(column).all(|(later, _)| later != name);
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

fn split(setting: &str) -> Option<(String, String)> {
    let (name, value) = setting.split_once('=')?;
    Some((name.trim().replace('-', "_"), value.to_owned()))
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
            "SELECT pg_backend_pid(), set_config(E'role', E'reader', false), \
             set_config(E'lock_timeout', E'300', false)"
        );
        assert_eq!(quoted(r"it's \"), r"E'it\'s \\'");
    }
}
