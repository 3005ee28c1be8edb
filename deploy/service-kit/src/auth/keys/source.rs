//! Where the key set comes from.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::client::Client;
use crate::files::{self, Turns};

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
    File { path: PathBuf, turns: Turns },
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

    /// Reads `path` at each fetch.
    pub(in crate::auth) fn file(path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into(), turns: Turns::default() }
    }

    /// The name for log lines.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Url(client) => client.public_url(),
            Self::File { path, .. } => path.display().to_string(),
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
            Self::File { path, turns } => {
                let path = path.clone();
                turns.run(move || read_file(&path, DOCUMENT_MAX)).await?
            }
        }
    }
}

fn read_file(path: &Path, max: usize) -> Result<Vec<u8>, FetchError> {
    let read = files::read_up_to(u64::try_from(max).unwrap_or(u64::MAX), path);
    match read {
        Ok(contents) => Ok(contents.bytes),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(FetchError::TooLarge(max)),
        Err(error) => Err(error.into()),
    }
}
