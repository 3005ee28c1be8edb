//! Connections with TLS that work.

use anyhow::{Context, Result};
use service_kit::database::DatabaseConfig;
use service_kit::telemetry::chain;
use testkit::certificates::{Authority, Validity};
use testkit::wait;

use crate::scene::{HOST, LIMIT, Scene, refusal, session, url_at};

#[tokio::test]
async fn the_right_ca_and_host_give_a_session_with_tls() -> Result<()> {
    let Some(scene) = Scene::start().await? else { return Ok(()) };
    let query = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    // With SCRAM, the password is also bound to the server's certificate.
    let bound = format!("{}&channel_binding=require", scene.url("scram"));
    for url in [scene.url("app"), scene.url("app").replace("verify-full", "require"), bound] {
        let row = session(&url).await?.query_one(query, &[]).await?;
        assert_eq!((row.get(0), row.get(1)), (true, "TLSv1.3"), "{url}");
    }
    let identity = scene.ca.issue(&["127.0.0.1", "*.db.test"], Validity::Now)?;
    scene.server.renew(&identity).await?;
    for host in ["127.0.0.1", "one.db.test"] {
        let url = url_at(scene.server.port(), host, "app", &scene.file("ca.pem"));
        wait::until("the new names", LIMIT, async || refusal(&url).await.map_or(Ok(()), Err)).await?;
    }
    let two = scene.url("app");
    assert!(
        refusal(&two).await.is_some_and(|refusal| refusal.contains("127.0.0.1, *.db.test, not for db.test"))
    );
    Ok(())
}

#[tokio::test]
async fn a_renewed_certificate_is_picked_up_without_a_restart() -> Result<()> {
    let Some(scene) = Scene::start().await? else { return Ok(()) };
    let vars = vec![
        ("DATABASE_URL".to_owned(), scene.url("app")),
        ("DATABASE_POOL_SIZE".to_owned(), "9".to_owned()),
    ];
    let database = DatabaseConfig::from_vars(&vars)?.open("test")?;
    // Held, so that each session is a new connection.
    let mut held = vec![database.session().await?];
    let other = Authority::new("the next CA")?;
    scene.server.renew(&other.issue(&[HOST], Validity::Now)?).await?;
    let words = "certificate is not from a CA of sslrootcert";
    wait::until("the new certificate", LIMIT, async || match database.session().await {
        Err(error) if chain(&error).contains(words) => Ok(()),
        Err(error) => Err(chain(&error)),
        // Not given back, so that the next one is a new connection.
        Ok(_session) => Err("the old certificate".to_owned()),
    })
    .await?;
    scene.write("ca.pem", &other.certificate())?;
    held.push(database.session().await.context("after the renewal")?);
    Ok(())
}

#[tokio::test]
async fn a_client_certificate_takes_the_place_of_the_password() -> Result<()> {
    let Some(scene) = Scene::start().await? else { return Ok(()) };
    let with = |(certificate, key): (std::path::PathBuf, std::path::PathBuf)| {
        format!("{}&sslcert={}&sslkey={}", scene.url("certified"), certificate.display(), key.display())
    };
    let own = scene.write_identity("own", &scene.ca.issue_for_client("certified")?)?;
    let row = session(&with(own.clone())).await?;
    let row = row.query_one("SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await?;
    assert_eq!(row.get::<_, &str>(0), "/CN=certified");
    let without = refusal(&scene.url("certified")).await.context("no certificate")?;
    assert!(without.contains("requires a valid client certificate"), "{without}");
    let foreign = Authority::new("another CA")?.issue_for_client("certified")?;
    let foreign =
        refusal(&with(scene.write_identity("foreign", &foreign)?)).await.context("a foreign one")?;
    assert!(foreign.contains("the server refuses the handshake, or the certificate of sslcert"), "{foreign}");
    let two = scene.write_identity("two", &scene.ca.issue_for_client("certified")?)?;
    let mixed = refusal(&with((own.0, two.1))).await.context("another key")?;
    assert!(mixed.contains("sslcert and sslkey cannot be used together"), "{mixed}");
    Ok(())
}
