//! What the operator's page does not show, and whom it does not answer.

use anyhow::Result;
use reqwest::Method;

use crate::operator_page::{Page, problem};

#[tokio::test]
async fn text_of_a_payload_in_place_of_an_order_id_is_not_shown() -> Result<()> {
    let page = Page::open(None).await?;
    let text = r#"UPDATE parked_events SET payload = '{"order": {"order_id": "ada@shop.example"}}'"#;
    page.scene.session.batch_execute(text).await?;
    let parked = page.json("/operator/parked").await?;
    assert!(parked["events"][0]["order_id"].is_null(), "{parked}");
    assert!(!parked.to_string().contains("ada@"), "{parked}");
    page.close().await
}

#[tokio::test]
async fn a_page_of_another_port_costs_no_query() -> Result<()> {
    let page = Page::open(None).await?;
    for path in ["/operator/state", "/operator/parked"] {
        for (name, value) in [("origin", "http://localhost:9999"), ("sec-fetch-site", "same-site")] {
            let refused = page.request(Method::GET, path).header(name, value).send().await?;
            assert_eq!(problem(refused).await?.0, 403, "{path} {name}");
        }
        let own = page.request(Method::GET, path).header("origin", format!("http://{}", page.address));
        own.header("sec-fetch-site", "same-origin").send().await?.error_for_status()?;
    }
    page.close().await
}
