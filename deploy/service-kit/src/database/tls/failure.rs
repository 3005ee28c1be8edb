//! Why a connection with TLS fails, in words that say what to do.

use std::error::Error;
use std::io;

use chrono::DateTime;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

/// The server is not the one that the URL names, as far as TLS can say. No password was sent.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The response to the request for TLS was no.
    #[error(
        "the server has no TLS (ssl=off), or something on the way refuses it; sslmode asks for it, and nothing else \
         was sent"
    )]
    NotOffered,
    /// The certificate's chain ends elsewhere.
    #[error("the server's certificate is not from a CA of sslrootcert")]
    UnknownCa,
    /// The certificate is for others.
    #[error("the server's certificate is for {certified}, not for {host}, the host of the URL")]
    OtherHost {
        /// The host of the URL.
        host: String,
        /// The names in the certificate.
        certified: String,
    },
    /// The certificate was valid.
    #[error("the server's certificate has expired: it was valid until {0}")]
    Expired(String),
    /// The certificate will be valid.
    #[error("the server's certificate is not valid yet, by the clock of this machine: it is valid from {0}")]
    NotYetValid(String),
    /// The certificate is refused for another reason.
    #[error("the server's certificate is refused")]
    Certificate(#[source] rustls::Error),
    /// The server ended the handshake. With TLS 1.3, its response to a client's certificate comes later.
    #[error("the server refuses the handshake, or the certificate of sslcert, with the alert {0:?}")]
    Alert(rustls::AlertDescription),
    /// The handshake failed.
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
}

impl TlsError {
    /// The error of a connection, if TLS is its cause.
    pub(in super::super) fn from_open(error: tokio_postgres::Error) -> Result<Self, tokio_postgres::Error> {
        let Some(cause) = error.source() else { return Err(error) };
        // The driver has no type for this.
        if cause.to_string() == "server does not support TLS" {
            return Ok(Self::NotOffered);
        }
        let Some(cause) = cause.downcast_ref::<io::Error>() else { return Err(error) };
        if let Some(cause) = cause.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
            return Ok(Self::from_rustls(cause));
        }
        if cause.kind() == io::ErrorKind::UnexpectedEof && cause.to_string().contains("handshake") {
            return Ok(Self::Handshake(io::Error::new(cause.kind(), "the connection was closed")));
        }
        Err(error)
    }

    fn from_rustls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(reason) => Self::from_certificate(reason),
            rustls::Error::AlertReceived(alert) => Self::Alert(*alert),
            other => Self::Handshake(io::Error::other(other.clone())),
        }
    }

    fn from_certificate(reason: &CertificateError) -> Self {
        match reason {
            CertificateError::UnknownIssuer => Self::UnknownCa,
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired(date(*not_after)),
            CertificateError::NotValidYetContext { not_before, .. } => Self::NotYetValid(date(*not_before)),
            CertificateError::NotValidForNameContext { expected, presented } => {
                Self::OtherHost { host: expected.to_str().into_owned(), certified: names(presented) }
            }
            other => Self::Certificate(rustls::Error::InvalidCertificate(other.clone())),
        }
    }
}

/// Each as rustls shows it, such as `DnsName("db.example")`.
fn names(presented: &[String]) -> String {
    let names = presented.iter().map(|name| {
        let name = name.split_once('(').map_or(name.as_str(), |(_, name)| name);
        name.trim_end_matches(')').trim_matches('"')
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() { "no host".to_owned() } else { names.join(", ") }
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let time = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.map_or_else(|| "another time".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}
