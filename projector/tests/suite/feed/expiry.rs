//! A request that waits while its token expires.

use anyhow::{Context, Result};
use chrono::{DurationRound, TimeDelta, Utc};
use reqwest::{Client, StatusCode};
use testkit::readiness;
use testkit::tokens::{Role, TokenIssuer};

use super::support::{Feed, SOON};
use crate::support::{Scene, event};

#[tokio::test]
async fn a_request_that_waits_gets_an_empty_page_when_its_token_expires() -> Result<()> {
    let scene = Scene::create().await?;
    let key_set = tempfile::tempdir()?;
    let issuer = TokenIssuer::new(key_set.path())?;
    let mut variables = issuer.variables();
    variables.push(("AUTH_LEEWAY_S".to_owned(), "0".to_owned()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let feed = Feed::start(&scene, &variables)?;
    readiness::until_ready_is(&format!("http://{}", feed.admin), StatusCode::OK).await?;
    // Tokens expire at a whole second.
    let expires = Utc::now().duration_trunc(TimeDelta::seconds(1))? + TimeDelta::seconds(5);
    let token = issuer.token_of_until(Role::Events, expires)?;
    let url = format!("{}/events?after=now", feed.url);
    let get = || Client::new().get(&url).bearer_auth(&token).header("prefer", "wait=30").send();

    let response = tokio::time::timeout(SOON, get()).await.context("the request waits on")??;
    assert!(Utc::now() >= expires);
    let page: serde_json::Value = response.error_for_status()?.json().await?;
    assert_eq!(page["events"], serde_json::json!([]));
    assert_eq!(page["has_more"], false);
    scene.emit([event(1, 1)]).await?;
    assert_eq!(get().await?.status(), StatusCode::UNAUTHORIZED);
    Ok(())
}
