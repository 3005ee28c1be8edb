//! A key of the issuer is replaced under load.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Response, StatusCode};
use testkit::services::ServiceKind;
use testkit::wait;

use super::apis::{Apis, Tokens, with_unknown_key};
use super::server::Issuer;

/// Tokens of each key: more than there are callers, so that some are new to a process each time.
const TOKENS: usize = 30;
/// Requests in each phase.
const MORE: u64 = 500;
/// Keys are fetched for unknown ones at most once in 30 s.
const LIMIT: Duration = Duration::from_secs(50);

async fn tokens(issuer: &Issuer, kid: &str) -> Result<Vec<String>> {
    let mut tokens = Vec::new();
    for _ in 0..TOKENS {
        tokens.push(issuer.token(kid).await?);
    }
    Ok(tokens)
}

async fn open_stream(apis: &Apis, token: &str) -> Result<Response> {
    let url = format!("{}/customers/alice/orders/stream", apis.get(ServiceKind::ReadApi)?.url);
    Ok(Client::new().get(url).bearer_auth(token).send().await?.error_for_status()?)
}

/// Waits until all processes refuse the token of a key that was removed. A token with an unknown key lets them fetch
/// the key set before the next regular time.
async fn until_refused(apis: &Apis, token: &str) -> Result<()> {
    let unknown = with_unknown_key(token)?;
    for api in apis.iter() {
        wait::until("the removed key to be refused", LIMIT, async || {
            let attempt = async { anyhow::Ok([api.status(&unknown).await?, api.status(token).await?]) };
            let statuses = attempt.await.map_err(|error| format!("{error:#}"))?;
            if statuses == [StatusCode::UNAUTHORIZED; 2] {
                return Ok(());
            }
            // It may take 30 s: leave the CPU to others.
            tokio::time::sleep(Duration::from_millis(200)).await;
            Err(format!("{}: {statuses:?}", api.kind.name()))
        })
        .await?;
    }
    Ok(())
}

async fn until_end(stream: &mut Response) -> Result<()> {
    while stream.chunk().await?.is_some() {}
    Ok(())
}

/// A new key is added, tokens of both are in use, and the old key is removed once its tokens are no longer used: no
/// request is refused. Afterwards the tokens of the removed key are refused, and a stream that one of them opened ends.
pub(super) async fn check() -> Result<()> {
    let Some(issuer) = Issuer::start().await? else { return Ok(()) };
    let old = issuer.add_key("ES256").await?;
    let apis = Apis::start(&issuer).await?;
    let in_use = Tokens::default();
    let old_tokens = tokens(&issuer, &old).await?;
    let old_token = old_tokens.first().context("no token")?.clone();
    in_use.set(old_tokens.clone());
    let load = apis.load(&in_use);
    load.until_more(MORE).await?;
    let mut old_stream = open_stream(&apis, &old_token).await?;

    let new = issuer.add_key("RS256").await?;
    let new_tokens = tokens(&issuer, &new).await?;
    in_use.set([old_tokens, new_tokens.clone()].concat());
    load.until_more(MORE).await?;
    let new_token = new_tokens.first().context("no token")?.clone();
    let mut new_stream = open_stream(&apis, &new_token).await?;
    in_use.set(new_tokens);
    load.until_more(MORE).await?;

    issuer.remove_key(&old).await?;
    until_refused(&apis, &old_token).await?;
    tokio::time::timeout(Duration::from_secs(10), until_end(&mut old_stream))
        .await
        .context("the stream of the removed key goes on")??;
    load.until_more(MORE).await?;
    load.check(&[])?;
    let new_ends = tokio::time::timeout(Duration::from_millis(200), until_end(&mut new_stream)).await;
    ensure!(new_ends.is_err(), "the stream of the new key has ended: {new_ends:?}");
    Ok(())
}
