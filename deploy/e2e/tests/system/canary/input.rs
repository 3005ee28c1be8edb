//! Canaries in each field of each route, as text, as a number, and as a name.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::services::ServiceKind;

use super::scene::Scene;

pub(super) const TEXT: &str = "canary-input-8d2e";
pub(super) const NUMBER: i64 = 471_108_812_345;

/// The routes that write, and the fields of their bodies.
const WRITES: [(&str, &[&str]); 5] = [
    ("", &["order_id", "customer_id", "currency", "items", TEXT]),
    ("/pay", &[TEXT]),
    ("/ship", &["carrier", "tracking_number", TEXT]),
    ("/deliver", &[TEXT]),
    ("/cancel", &["reason", TEXT]),
];

/// Sends them all. Each response that is not a success is kept.
pub(super) async fn send(scene: &mut Scene, id: &str) -> Result<()> {
    for (step, fields) in WRITES {
        let path = if step.is_empty() { "/orders".to_owned() } else { format!("/orders/{id}{step}") };
        for canary in values() {
            for field in fields {
                scene.post(&path, None, &json!({*field: canary})).await?;
            }
        }
        for body in [json!({NUMBER.to_string(): 1}), json!([TEXT, NUMBER]), json!(TEXT)] {
            scene.post(&path, None, &body).await?;
        }
    }
    for canary in values() {
        for field in ["sku", "quantity", "price_cents", TEXT] {
            let body = json!({"customer_id": "c", "items": [{field: canary}]});
            scene.post("/orders", None, &body).await?;
        }
    }
    for path in ["/orders", &format!("/orders/{TEXT}/pay"), &format!("/{TEXT}")] {
        scene.post(&format!("{path}?{TEXT}={TEXT}"), Some(TEXT), &json!(TEXT)).await?;
    }
    for header in ["if-match", "content-type", "content-encoding", "expect"] {
        let request = scene.request(Method::POST, ServiceKind::WriteApi, &format!("/orders/{id}/pay"))?;
        scene.send(request.header(header, TEXT).body(TEXT)).await?;
    }
    queries(scene, id).await
}

/// Too long or too large for each field, or of another type.
fn values() -> [Value; 5] {
    [json!(TEXT.repeat(50)), json!(NUMBER), json!(-NUMBER), json!([NUMBER]), json!({TEXT: NUMBER})]
}

/// Each parameter of each route that reads.
async fn queries(scene: &mut Scene, id: &str) -> Result<()> {
    const LIST: &[&str] = &["limit", "status", "placed_from", "placed_to", "cursor", "after", TEXT];
    let customers = format!("/customers/{TEXT}/orders");
    for (kind, path, names) in [
        (ServiceKind::ReadApi, "/orders", LIST),
        (ServiceKind::ReadApi, customers.as_str(), LIST),
        (ServiceKind::ReadApi, &format!("{customers}/stream"), &[TEXT]),
        (ServiceKind::ReadApi, &format!("/orders/{id}"), &["min_version", TEXT]),
        (ServiceKind::ReadApi, &format!("/orders/{TEXT}"), &["min_version"]),
        (ServiceKind::Projector, "/events", &["after", "limit", "kind", TEXT]),
    ] {
        for name in names {
            for value in [TEXT.to_owned(), NUMBER.to_string()] {
                let request = scene.request(Method::GET, kind, &format!("{path}?{name}={value}"))?;
                scene.send(request.header("prefer", TEXT).header("if-none-match", TEXT)).await?;
            }
        }
    }
    Ok(())
}
