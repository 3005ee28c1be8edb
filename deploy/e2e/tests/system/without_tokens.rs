//! With `AUTH=off`, the services serve their own machine only.

use anyhow::Result;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::System;

#[tokio::test]
async fn a_page_of_another_site_in_a_browser_on_this_machine_is_refused_by_every_service() -> Result<()> {
    let system = System::start().await?;
    let projector = system.start_projector().await?;
    let (write, read, client) = (system.write.url(), system.read.url(), reqwest::Client::new());
    let order = json!({"customer_id": "alice", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 450}]});
    let requests = || {
        [
            client.post(format!("{write}/orders")).json(&order),
            client.post(format!("{write}/orders/{}/pay", Uuid::new_v4())).header("content-length", "0"),
            client.get(format!("{read}/orders")),
            client.get(format!("{read}/customers/alice/orders/stream")),
            client.get(format!("{}/events", projector.url())),
        ]
    };
    for (name, value) in
        [("host", "evil.example:8081"), ("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")]
    {
        for request in requests() {
            let response = request.header(name, value).send().await?;
            let (status, url) = (response.status(), response.url().clone());
            let problem: Value = response.json().await?;
            assert_eq!(status, StatusCode::FORBIDDEN, "{name}, {url}: {problem}");
            assert_eq!(problem["type"], "/problems/not-local", "{url}");
        }
    }
    for request in requests() {
        let status = request.header("host", "localhost").send().await?.status();
        assert_ne!(status, StatusCode::FORBIDDEN);
    }
    Ok(())
}
