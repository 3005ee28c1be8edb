//! Where the key set comes from.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::client::Client;

/// The longest time for one fetch: name, connection, TLS, request and response together.
pub(super) const FETCH_LIMIT: Duration = Duration::from_secs(2);
/// Most bytes of a key set.
pub(super) const DOCUMENT_MAX: usize = 256 << 10;

/// Where the key set comes from.
#[derive(Clone)]
pub(in crate::auth) enum Source {
    /// `AUTH_JWKS_URL`.
    Url(Box<Client>),
    /// `AUTH_JWKS_FILE`.
    File(PathBuf),
}

/// Why there is no new document.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("it took longer than {} s", FETCH_LIMIT.as_secs())]
    Timeout,
    #[error("the URL cannot be requested")]
    Request(#[from] hyper::http::Error),
    #[error("there is no connection")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the exchange failed")]
    Exchange(#[from] hyper::Error),
    /// Redirects too: where they lead is not configured.
    #[error("the status is {0}, not 200")]
    Status(u16),
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
    #[error("the file cannot be read")]
    File(#[from] io::Error),
}

impl Source {
    /// Fetches from `url`, and trusts the system's certificates.
    pub(in crate::auth) fn url(url: Url) -> Self {
        Self::Url(Box::new(Client::new(url)))
    }

    /// The name for log lines.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Url(client) => client.public_url(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The document, with limits on time and size.
    pub(super) async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        tokio::time::timeout(FETCH_LIMIT, self.fetch_without_time_limit())
            .await
            .unwrap_or(Err(FetchError::Timeout))
    }

    async fn fetch_without_time_limit(&self) -> Result<Vec<u8>, FetchError> {
        match self {
            Self::Url(client) => client.fetch(DOCUMENT_MAX).await,
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_file(&path, DOCUMENT_MAX));
                read.await.map_err(io::Error::other)?
            }
        }
    }
}

fn read_file(path: &Path, max: usize) -> Result<Vec<u8>, FetchError> {
    // Opening a pipe would wait for its writer.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file").into());
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > max { Err(FetchError::TooLarge(max)) } else { Ok(bytes) }
}
