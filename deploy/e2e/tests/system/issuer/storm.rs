//! Tokens that name keys at random.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;

use super::apis::{Apis, with_unknown_key};
use super::server::Issuer;

const REQUESTS: usize = 1_000;
const AT_ONCE: usize = 50;
/// Of so many requests, one has a valid token.
const ONE_IN: usize = 20;

#[tokio::test]
async fn a_thousand_unknown_keys_fetch_the_key_set_once() -> Result<()> {
    let Some(issuer) = Issuer::start().await? else { return Ok(()) };
    let key = issuer.add_key("ES256").await?;
    let apis = Apis::start(&issuer).await?;
    let token = issuer.token(&key).await?;
    for api in apis.iter() {
        let (before, begin) = (issuer.fetches().await?, Instant::now());
        let requests = stream::iter(0..REQUESTS).map(async |number| {
            if number % ONE_IN == 0 {
                // This caller does not notice the others.
                api.check(&token).await?;
            }
            let status = api.status(&with_unknown_key(&token)?).await?;
            ensure!(status == StatusCode::UNAUTHORIZED, "{status}");
            Ok(())
        });
        requests.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let (fetches, took) = (issuer.fetches().await? - before, begin.elapsed());
        let who = api.kind.name();
        assert!(fetches == 1 && took < Duration::from_secs(30), "{who}: {fetches} fetches in {took:?}");
    }
    Ok(())
}
