//! The issuer is down when the processes start.

use std::time::Duration;

use anyhow::Result;
use reqwest::StatusCode;
use testkit::wait;

use super::apis::Apis;
use super::server::{Down, Issuer};

#[tokio::test]
async fn without_keys_a_process_refuses_all_but_open_resources_until_the_issuer_is_up() -> Result<()> {
    let Some(issuer) = Issuer::start().await? else { return Ok(()) };
    let key = issuer.add_key("ES256").await?;
    let token = issuer.token(&key).await?;
    issuer.go_down(Down::Closed).await?;
    let mut apis = Apis::start_without_waiting(&issuer).await?;
    for api in apis.iter() {
        let name = api.kind.name();
        let get = async |url: String| anyhow::Ok(reqwest::get(url).await?.status());
        let docs = wait::until("the documentation", Duration::from_secs(20), async || {
            get(format!("{}/docs", api.url)).await.map_err(|error| format!("{name}: {error:#}"))
        });
        assert_eq!(docs.await?, StatusCode::OK, "{name}");
        assert_eq!(api.status(&token).await?, StatusCode::SERVICE_UNAVAILABLE, "{name}");
        assert_eq!(api.status("no token").await?, StatusCode::SERVICE_UNAVAILABLE, "{name}");
        let ready = get(format!("{}/readyz", api.admin_url)).await?;
        assert_eq!(ready, StatusCode::SERVICE_UNAVAILABLE, "{name}");
    }
    issuer.up().await?;
    apis.wait_until_ready().await?;
    for api in apis.iter() {
        api.check(&token).await?;
        assert_eq!(api.status("no token").await?, StatusCode::UNAUTHORIZED);
    }
    Ok(())
}
