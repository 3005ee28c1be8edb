//! The issuer is down for a minute, under load.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use testkit::load::Load;

use super::apis::{Apis, Tokens, with_unknown_key};
use super::server::{Down, Issuer};

const OUTAGE: Duration = Duration::from_mins(1);

/// Calls each API with tokens of unknown keys: each process tries to fetch keys meanwhile, and cannot say that the
/// tokens are not valid.
fn attack(apis: &Apis, token: &str) -> Load {
    Load::start(apis.iter().map(|api| {
        let (api, token) = (api.clone(), token.to_owned());
        move || {
            let (api, token) = (api.clone(), token.clone());
            async move {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let status = api.status(&with_unknown_key(&token)?).await?;
                ensure!(status == StatusCode::SERVICE_UNAVAILABLE, "{status}");
                Ok(())
            }
        }
    }))
}

/// For a minute the issuer refuses connections, and then accepts them without a word. Meanwhile no request is refused,
/// neither with tokens that are known nor with new ones, and no process stops being ready.
pub(super) async fn check() -> Result<()> {
    let Some(issuer) = Issuer::start().await? else { return Ok(()) };
    let key = issuer.add_key("EdDSA").await?;
    let apis = Apis::start(&issuer).await?;
    let token = issuer.token(&key).await?;
    let in_use = Tokens::default();
    in_use.set(vec![token.clone()]);
    let load = apis.load(&in_use);
    load.until_more(100).await?;

    for down in [Down::Closed, Down::Silent] {
        issuer.go_down(down).await?;
        let (begin, attack) = (Instant::now(), attack(&apis, &token));
        while begin.elapsed() < OUTAGE / 2 {
            let new = issuer.token(&key).await?;
            for api in apis.iter() {
                api.check(&new).await?;
                let ready = reqwest::get(format!("{}/readyz", api.admin_url)).await?.status();
                ensure!(ready == StatusCode::OK, "{} is not ready", api.kind.name());
            }
            load.until_more(100).await?;
        }
        attack.until_more(1).await?;
        attack.check(&[])?;
    }
    load.check(&[])?;
    for api in apis.iter() {
        let failures = api.metric("orders_auth_key_fetch_failures_total").await?;
        ensure!(failures >= 2.0, "{} has not tried: {failures}", api.kind.name());
    }
    Ok(())
}
