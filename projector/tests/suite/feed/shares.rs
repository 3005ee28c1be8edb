//! Requests that wait, and the share of their caller.

use std::time::Duration;

use anyhow::Result;
use reqwest::{Client, StatusCode};
use testkit::tokens::TokenIssuer;
use testkit::{readiness, wait};

use super::support::{Feed, SOON};
use crate::support::Scene;

#[tokio::test]
async fn one_service_cannot_take_all_waits_and_gives_back_what_it_had() -> Result<()> {
    two_waits_of_one_service("RATE_LIMIT_SERVICE_WAITS", "2").await
}

#[tokio::test]
async fn half_of_all_waits_is_for_others_than_one_service() -> Result<()> {
    two_waits_of_one_service("FEED_WAITERS", "4").await
}

/// With this variable, a service may have two requests that wait.
async fn two_waits_of_one_service(name: &str, value: &str) -> Result<()> {
    let scene = Scene::create().await?;
    let key_set = tempfile::tempdir()?;
    let issuer = TokenIssuer::new(key_set.path())?;
    let mut variables = issuer.variables();
    variables.push((name.to_owned(), value.to_owned()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let feed = Feed::start(&scene, &variables)?;
    readiness::until_ready_is(&format!("http://{}", feed.admin), StatusCode::OK).await?;
    let [one, other] = ["one", "other"].map(|subject| issuer.token(subject, &["events:read"], None));
    let (one, other) = (one?, other?);
    let url = format!("{}/events?after=now", feed.url);
    let get = async |token: &str, wait: &str| {
        Client::new().get(&url).bearer_auth(token).header("prefer", wait).send().await.map(|got| got.status())
    };
    let waits = || get(&one, "wait=5");
    // Of three at once, one is refused at once.
    let refused = tokio::select! {
        status = waits() => status?,
        status = waits() => status?,
        status = waits() => status?,
    };
    assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(get(&one, "wait=0").await?, StatusCode::OK, "it does not wait");
    assert_eq!(get(&other, "wait=1").await?, StatusCode::OK);
    wait::until("the share of a wait that ended", SOON.max(Duration::from_secs(30)), async || {
        match get(&one, "wait=1").await {
            Ok(StatusCode::OK) => Ok(()),
            status => Err(status),
        }
    })
    .await?;
    Ok(())
}
