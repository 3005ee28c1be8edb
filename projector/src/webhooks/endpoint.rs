//! An endpoint: where events are sent, and which.

use std::net::IpAddr;

use shared_events::OrderChange;
use url::{Host, Url};

use super::address::AddressPolicy;
use super::signature::Secret;

/// Most endpoints. A constraint of the table says the same.
pub const ENDPOINTS_MAX: usize = 100;
/// Most bytes of a URL. A constraint of the table says the same.
pub const URL_MAX: usize = 2_048;

/// An endpoint, as a process keeps it in memory.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Identifies it for good.
    pub id: i64,
    /// Where events are sent.
    pub url: Url,
    /// Which kinds of events are sent.
    pub kinds: Kinds,
    /// Whether it is sent anything.
    pub is_active: bool,
    /// Changes with each of the other fields.
    pub revision: i64,
    /// The current secret and, during a rotation, the previous one.
    pub secrets: Vec<Secret>,
}

impl Endpoint {
    /// The name of the subscription that feeds it.
    #[must_use]
    pub fn subscription(id: i64) -> String {
        format!("webhook:{id}")
    }
}

/// Which kinds of events an endpoint gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kinds(Vec<String>);

/// A kind that no build writes.
#[derive(Debug, thiserror::Error)]
#[error("is not a kind of event; there are {known}")]
pub struct UnknownKind {
    known: String,
}

impl Kinds {
    /// The kinds that were named. Without any: all that say that something happened, also those of later builds. A
    /// republished event says nothing new, so it must be asked for.
    pub fn new(named: Vec<String>) -> Result<Self, UnknownKind> {
        if named.iter().all(|kind| OrderChange::from_kind(kind).is_some()) {
            Ok(Self(named))
        } else {
            Err(UnknownKind { known: OrderChange::ALL.map(OrderChange::kind).join(", ") })
        }
    }

    /// Kinds that were stored.
    #[must_use]
    pub fn stored(named: Vec<String>) -> Self {
        Self(named)
    }

    /// The kinds that were named.
    #[must_use]
    pub fn named(&self) -> &[String] {
        &self.0
    }

    /// Whether events of this kind are sent.
    #[must_use]
    pub fn contain(&self, kind: &str) -> bool {
        if self.0.is_empty() {
            return kind != OrderChange::Republished.kind();
        }
        self.0.iter().any(|named| named == kind)
    }
}

/// A URL that nothing can be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is not a URL.
    #[error("is not a URL: {0}")]
    Malformed(#[from] url::ParseError),
    /// It is too long to be stored.
    #[error("has {0} bytes; at most 2048 are allowed")]
    TooLong(usize),
    /// Neither https nor http.
    #[error("must begin with https://")]
    Scheme,
    /// Without TLS, everybody on the way could read the events.
    #[error("must begin with https://; WEBHOOK_ALLOW_PRIVATE=true allows http for private addresses")]
    Plain,
    /// It contains a user name or a password.
    #[error("must not contain a user name or a password")]
    Credentials,
    /// It contains a fragment, which is never sent.
    #[error("must not contain a fragment (#)")]
    Fragment,
    /// Nothing listens there.
    #[error("must not have port 0")]
    Port,
    /// A name that always leads to this machine.
    #[error("must not lead to localhost; WEBHOOK_ALLOW_PRIVATE=true allows private addresses and loopback")]
    Localhost,
    /// It contains an address that is refused.
    #[error("must not lead to {0}; WEBHOOK_ALLOW_PRIVATE=true allows private addresses and loopback")]
    Address(IpAddr),
}

/// Checks what can be known of a URL without resolving its name: that happens for each connection.
pub fn parse_url(text: &str, allow_private: bool) -> Result<Url, UrlError> {
    if text.len() > URL_MAX {
        return Err(UrlError::TooLong(text.len()));
    }
    let url = Url::parse(text)?;
    let policy = match (url.scheme(), allow_private) {
        ("https", false) => AddressPolicy::Public,
        ("https", true) => AddressPolicy::PublicOrPrivate,
        ("http", true) => AddressPolicy::Private,
        ("http", false) => return Err(UrlError::Plain),
        _ => return Err(UrlError::Scheme),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Credentials);
    }
    if url.fragment().is_some() {
        return Err(UrlError::Fragment);
    }
    if url.port() == Some(0) {
        return Err(UrlError::Port);
    }
    if !allow_private && is_localhost(&url) {
        return Err(UrlError::Localhost);
    }
    // Other characters than ASCII are longer in a parsed URL.
    if url.as_str().len() > URL_MAX {
        return Err(UrlError::TooLong(url.as_str().len()));
    }
    match literal_address(&url) {
        Some(address) if !policy.allows(address) => Err(UrlError::Address(address)),
        _ => Ok(url),
    }
}

/// These names never lead anywhere else (RFC 6761).
fn is_localhost(url: &Url) -> bool {
    let Some(Host::Domain(name)) = url.host() else { return false };
    name.trim_end_matches('.').rsplit('.').next() == Some("localhost")
}

/// The address in a URL that contains no name.
pub(crate) fn literal_address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str, allow_private: bool) -> String {
        parse_url(text, allow_private)
            .map_or_else(|error| error.to_string(), |url| format!("accepted as {url}"))
    }

    #[test]
    fn a_url_is_https_and_public_unless_a_setting_allows_more() {
        for (url, refused, refused_with_private) in [
            ("https://hooks.example/orders?key=1", "accepted", "accepted"),
            ("https://192.0.2.1/", "must not lead to 192.0.2.1", "must not lead to 192.0.2.1"),
            ("https://10.0.0.1/", "must not lead to 10.0.0.1", "accepted"),
            // The parser reads old notations as browsers do.
            ("https://0x7f.1/", "must not lead to 127.0.0.1", "accepted"),
            ("https://[::ffff:10.0.0.1]:8443/", "must not lead to ::ffff:10.0.0.1", "accepted"),
            ("https://169.254.169.254/", "must not lead to", "must not lead to"),
            ("http://127.0.0.1:9/", "must begin with https://;", "accepted"),
            ("http://8.8.8.8/", "must begin with https://;", "must not lead to 8.8.8.8"),
            ("http://hooks.example/", "must begin with https://;", "accepted"),
            ("ftp://hooks.example/", "must begin with https://", "must begin with https://"),
            ("https://user@hooks.example/", "must not contain a user", "must not contain a user"),
            ("https://:secret@hooks.example/", "must not contain a user", "must not contain a user"),
            ("https://hooks.example/#part", "must not contain a fragment", "must not contain a fragment"),
            ("https://hooks.example:0/", "must not have port 0", "must not have port 0"),
            ("https://LocalHost/", "must not lead to localhost", "accepted"),
            ("https://hooks.localhost.:8443/", "must not lead to localhost", "accepted"),
            ("https://localhost.example/", "accepted", "accepted"),
            ("hooks.example", "is not a URL", "is not a URL"),
            ("https://", "is not a URL", "is not a URL"),
        ] {
            for (allow_private, expected) in [(false, refused), (true, refused_with_private)] {
                let found = refusal(url, allow_private);
                assert!(found.starts_with(expected), "{url}, {allow_private}: {found}");
            }
        }
        let long = |bytes: usize| format!("https://hooks.example/{}", "x".repeat(bytes - 22));
        assert!(parse_url(&long(URL_MAX), false).is_ok());
        assert_eq!(refusal(&long(URL_MAX + 1), false), "has 2049 bytes; at most 2048 are allowed");
        let percent_encoded = format!("https://hooks.example/é{}", "x".repeat(URL_MAX - 24));
        assert_eq!(refusal(&percent_encoded, false), "has 2052 bytes; at most 2048 are allowed");
    }

    #[test]
    fn republished_events_must_be_asked_for_and_later_kinds_need_not() {
        let all = Kinds::new(Vec::new()).unwrap();
        assert!(all.contain("order_paid") && all.contain("order_gift_wrapped"));
        assert!(!all.contain("order_republished"));
        let named = Kinds::new(vec!["order_republished".to_owned()]).unwrap();
        assert!(named.contain("order_republished") && !named.contain("order_paid"));
        let error = Kinds::new(vec!["order_lost".to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with("is not a kind of event; there are order_placed, "), "{error}");
    }
}
