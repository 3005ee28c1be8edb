//! TLS to PostgreSQL. The server's certificate is always verified, and that it is for the host.

mod failure;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Socket;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

pub use self::failure::TlsError;
use crate::files::{self, Contents, Turns};

/// The stream of a connection, with TLS or without.
pub(super) type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// The protocol that libpq names in the handshake; `sslnegotiation=direct` requires it.
const ALPN: &[u8] = b"postgresql";

/// A system's file with all CAs has some hundred kilobytes.
const MAX_BYTES: u64 = 16 << 20;

/// How connections verify the server, and with which certificate they log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) roots: Roots,
    pub(super) client: Option<ClientFiles>,
}

/// The certificates of the CAs that are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    System,
    File(PathBuf),
}

/// The client's certificate and its key, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// A file of the URL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// The file cannot be read.
    #[error("{parameter} cannot be read")]
    Read {
        /// The URL's parameter.
        parameter: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not what the parameter needs.
    #[error("{parameter} is a file without a usable {kind} in PEM format")]
    Content {
        /// The URL's parameter.
        parameter: &'static str,
        /// What it needs.
        kind: &'static str,
    },
    /// Other users of the machine can read the key.
    #[error("sslkey is a file that every user can read: chmod o-r")]
    WorldReadable,
    /// The system has no CA certificates.
    #[error(
        "sslrootcert=system finds no certificate: install the system's CA certificates, or set SSL_CERT_FILE"
    )]
    NoSystemRoots,
    /// The certificate and the key of the client do not belong together.
    #[error("sslcert and sslkey cannot be used together")]
    Client(#[source] rustls::Error),
}

impl Tls {
    /// Reads the files. A renewed certificate is therefore in use with the next connection.
    pub(super) async fn connector(&self) -> Result<MakeRustlsConnect, TlsFileError> {
        /// Of all pools: their files lie in the same few places.
        static TURNS: LazyLock<Turns> = LazyLock::new(Turns::default);
        let tls = self.clone();
        let read = TURNS.run(move || tls.read()).await;
        read.unwrap_or_else(|source| Err(TlsFileError::Read { parameter: "sslrootcert", source }))
    }

    /// Reads the files on this thread, and refuses a key that every user can read.
    pub(super) fn check(&self) -> Result<(), TlsFileError> {
        self.read()?;
        let Some(files) = &self.client else { return Ok(()) };
        let key = read("sslkey", &files.key)?;
        if key.is_world_readable { Err(TlsFileError::WorldReadable) } else { Ok(()) }
    }

    fn read(&self) -> Result<MakeRustlsConnect, TlsFileError> {
        let builder = builder(self.roots.read()?)?;
        let mut config = match &self.client {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let (chain, key) = files.read()?;
                builder.with_client_auth_cert(chain, key).map_err(TlsFileError::Client)?
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(MakeRustlsConnect::new(config))
    }
}

/// For connections without TLS: it trusts nobody, and is not used.
pub(super) fn unused() -> Result<MakeRustlsConnect, TlsFileError> {
    static UNUSED: OnceLock<MakeRustlsConnect> = OnceLock::new();
    if let Some(unused) = UNUSED.get() {
        return Ok(unused.clone());
    }
    let config = builder(RootCertStore::empty())?.with_no_client_auth();
    Ok(UNUSED.get_or_init(|| MakeRustlsConnect::new(config)).clone())
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn builder(roots: RootCertStore) -> Result<Builder, TlsFileError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(TlsFileError::Client)?;
    Ok(builder.with_root_certificates(roots))
}

impl Roots {
    fn read(&self) -> Result<RootCertStore, TlsFileError> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::System => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(TlsFileError::NoSystemRoots);
                }
            }
            Self::File(file) => {
                for certificate in certificates("sslrootcert", file)? {
                    roots.add(certificate).map_err(|_| content("sslrootcert", "certificate"))?;
                }
            }
        }
        Ok(roots)
    }
}

impl ClientFiles {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsFileError> {
        let chain = certificates("sslcert", &self.certificate)?;
        let key = read("sslkey", &self.key)?;
        let key = PrivateKeyDer::from_pem_slice(&key.bytes).map_err(|_| content("sslkey", "key"))?;
        Ok((chain, key))
    }
}

/// The certificates of a file, at least one.
fn certificates(parameter: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let text = read(parameter, file)?;
    let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text.bytes).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(|| content(parameter, "certificate"))
}

fn read(parameter: &'static str, file: &Path) -> Result<Contents, TlsFileError> {
    files::read_up_to(MAX_BYTES, file).map_err(|source| TlsFileError::Read { parameter, source })
}

fn content(parameter: &'static str, kind: &'static str) -> TlsFileError {
    TlsFileError::Content { parameter, kind }
}
