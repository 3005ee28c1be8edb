//! Connections of HTTP clients, with TLS.

use std::error::Error;

use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, RootCertStore};

/// Connects with `tls`; also without it if `is_plain_allowed` and the URL begins with `http://`.
pub(crate) fn connector(tls: ClientConfig, is_plain_allowed: bool) -> HttpsConnector<HttpConnector> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls);
    let connector = if is_plain_allowed { connector.https_or_http() } else { connector.https_only() };
    connector.enable_http1().wrap_connector(tcp)
}

/// Trusts the system's certificates. If there are none, each connection fails; `warn` says so in the log.
pub(crate) fn system_tls(warn: impl FnOnce(&str)) -> ClientConfig {
    match ClientConfig::builder().with_native_roots() {
        Ok(config) => config.with_no_client_auth(),
        Err(error) => {
            let error: &(dyn Error + 'static) = &error;
            warn(&crate::telemetry::chain(error));
            no_tls()
        }
    }
}

/// Trusts nobody: for connections without TLS.
pub(crate) fn no_tls() -> ClientConfig {
    ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}
