//! The key set over https, and addresses from which no key set is accepted.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::wait;

use super::apis::Api;
use super::server::Issuer;
use crate::proxy::free_ports;

/// A certificate for `localhost` that no system trusts.
const CERTIFICATE: &str = include_str!("../../../../../projector/tests/suite/webhooks/localhost.crt");
const KEY: &str = include_str!("../../../../../projector/tests/suite/webhooks/localhost.key");

const KIND: ServiceKind = ServiceKind::WriteApi;

/// A write-api that uses the issuer, with one more variable.
async fn start(
    issuer: &Issuer,
    more: (&str, &str),
    database: &TestDatabase,
    logs: &Path,
) -> Result<(Service, Api)> {
    let [port, admin_port] = free_ports()?;
    let admin = admin_port.to_string();
    let variables = [&issuer.variables()[..], &[("ADMIN_PORT", &admin), more]].concat();
    let program = ServiceBinaries::built().await?.program(KIND);
    let service = Service::start_with(&variables, KIND, &program, &database.url(KIND.role()), port, logs)?;
    Ok((service, Api::new(KIND, port, admin_port)))
}

#[tokio::test]
async fn keys_come_over_https_from_a_server_that_the_system_trusts() -> Result<()> {
    let Some(issuer) = Issuer::start_with_tls(CERTIFICATE, KEY).await? else { return Ok(()) };
    let key = issuer.add_key("ES256").await?;
    let token = issuer.token(&key).await?;
    let (database, logs) = (TestDatabase::create().await?, tempfile::tempdir()?);
    let mut trusted = tempfile::NamedTempFile::new()?;
    trusted.write_all(CERTIFICATE.as_bytes())?;
    let file = trusted.path().to_str().context("a path")?;
    let (mut service, api) = start(&issuer, ("SSL_CERT_FILE", file), &database, logs.path()).await?;
    service.wait_until_ready().await?;
    api.check(&token).await?;

    let (_service, api) = start(&issuer, ("SSL_CERT_FILE", ""), &database, logs.path()).await?;
    wait::until("a fetch to fail", Duration::from_secs(20), async || {
        let failures = api.metric("orders_auth_key_fetch_failures_total").await;
        if failures.as_ref().is_ok_and(|failures| *failures > 0.0) { Ok(()) } else { Err(failures) }
    })
    .await?;
    assert_eq!(api.status(&token).await?, StatusCode::SERVICE_UNAVAILABLE);
    Ok(())
}

#[tokio::test]
async fn a_process_does_not_start_with_keys_from_another_machine_over_http() -> Result<()> {
    let database = TestDatabase::create().await?;
    let binaries = ServiceBinaries::build_all(&ServiceKind::WITH_EXAMPLES).await?;
    for kind in ServiceKind::WITH_EXAMPLES {
        for url in ["http://192.0.2.1/jwks", "http://localhost/jwks", "http://issuer.test/jwks"] {
            let variables = [
                ("AUTH", "jwt"),
                ("AUTH_JWKS_URL", url),
                ("AUTH_ISSUER", "https://issuer.test"),
                ("AUTH_AUDIENCE", "orders"),
            ];
            let (program, database_url) = (binaries.program(kind), database.url(kind.role()));
            let logs = tempfile::tempdir()?;
            let mut service = Service::start_with(&variables, kind, &program, &database_url, 0, logs.path())?;
            let ended = service.wait_until_ready().await;
            assert!(ended.is_err() && !service.is_running(), "{} with {url} starts", kind.name());
            let log = fs::read_to_string(logs.path().join(format!("{}.log", kind.name())))?;
            assert!(log.contains("AUTH_JWKS_URL must begin with https://"), "{url}: {log}");
        }
    }
    Ok(())
}
