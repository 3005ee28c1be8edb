//! Splits a URL into front and parameters.

/// A URL in two parts, or a connection string, which is all query.
pub(super) struct Parts<'a> {
    /// Up to the query: scheme, user and password, host, database.
    front: &'a str,
    /// After the `?`.
    pub(super) query: &'a str,
    is_url: bool,
    has_user: bool,
}

impl<'a> Parts<'a> {
    /// An `@` ends user and password, which may have an unescaped `?` or `/`, unless a query begins before the `@`.
    pub(super) fn parse(url: &'a str) -> Self {
        let Some(rest) = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")) else {
            return Self { front: "", query: url, is_url: false, has_user: false };
        };
        let scheme = url.len() - rest.len();
        let end_of_user = rest.find('@').filter(|end| rest.get(..*end).is_some_and(|user| !has_query(user)));
        let from = scheme + end_of_user.unwrap_or_default();
        let begin = url.get(from..).and_then(|rest| rest.find('?')).map_or(url.len(), |begin| from + begin);
        let (front, query) = url.split_at_checked(begin).unwrap_or((url, ""));
        let query = query.strip_prefix('?').unwrap_or(query);
        Self { front, query, is_url: true, has_user: end_of_user.is_some() }
    }

    /// Names and values of a URL's parameters.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let query = if self.is_url { self.query } else { "" };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// An unescaped `&`, `?` or `@` in a password makes its rest look like a parameter.
    pub(super) fn may_hold_a_secret(&self) -> bool {
        !self.has_user || self.query.contains('@') || self.parameters().any(|(name, _)| name == "password")
    }

    /// The URL for tokio-postgres without these parameters. For it, any first `@` ends user and password.
    pub(super) fn escaped_without(&self, names: &[&str]) -> String {
        if !self.is_url {
            return self.query.to_owned();
        }
        let is_kept = |pair: &&str| !names.contains(&pair.split_once('=').map_or(*pair, |(name, _)| name));
        let query: Vec<_> = self.query.split('&').filter(is_kept).collect();
        let query = query.join("&").replace('@', "%40");
        if query.is_empty() { self.front.to_owned() } else { format!("{}?{query}", self.front) }
    }
}

/// Whether the text has a `/`, a `?` and a `=` in this order.
fn has_query(text: &str) -> bool {
    let path = text.split_once('/').map_or("", |(_, path)| path);
    path.split_once('?').is_some_and(|(_, query)| query.contains('='))
}
