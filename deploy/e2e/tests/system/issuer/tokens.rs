//! Tokens of each algorithm, and tokens that were changed before they were signed.

use std::time::SystemTime;

use anyhow::{Context, Result};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use testkit::services::ServiceKind;

use super::apis::Apis;
use super::server::{AUDIENCE, ISSUER, Issuer};

/// Sends a request with a token for this scope, and for this customer.
struct Caller<'a> {
    issuer: &'a Issuer,
    apis: &'a Apis,
    kid: &'a str,
}

impl Caller<'_> {
    async fn send(
        &self,
        (scope, customer): (&str, Option<&str>),
        method: Method,
        (kind, path): (ServiceKind, &str),
        body: Option<Value>,
    ) -> Result<Response> {
        let claims = json!({"scope": scope, "customer_id": customer});
        let mut claims = claims.as_object().cloned().unwrap_or_default();
        claims.retain(|_, value| !value.is_null());
        let token = self.issuer.changed_token(self.kid, &json!({}), &claims.into()).await?;
        let url = format!("{}{path}", self.apis.get(kind)?.url);
        let request = Client::new().request(method, url).bearer_auth(token).header("prefer", "wait=10");
        Ok(body.iter().fold(request, RequestBuilder::json).send().await?)
    }

    async fn get(&self, who: (&str, Option<&str>), kind: ServiceKind, path: &str) -> Result<StatusCode> {
        Ok(self.send(who, Method::GET, (kind, path), None).await?.status())
    }

    async fn post(&self, who: (&str, Option<&str>), path: &str, body: Value) -> Result<Response> {
        self.send(who, Method::POST, (ServiceKind::WriteApi, path), Some(body)).await
    }
}

#[tokio::test]
async fn tokens_of_three_algorithms_take_an_order_through_all_apis() -> Result<()> {
    let Some(issuer) = Issuer::start().await? else { return Ok(()) };
    let kids =
        [issuer.add_key("RS256").await?, issuer.add_key("ES256").await?, issuer.add_key("EdDSA").await?];
    let apis = Apis::start(&issuer).await?;
    for kid in &kids {
        let caller = Caller { issuer: &issuer, apis: &apis, kid };
        let order =
            json!({"customer_id": "alice", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 450}]});
        let placed = caller.post(("orders:place", None), "/orders", order.clone()).await?;
        assert_eq!(placed.status(), StatusCode::CREATED, "{kid}");
        let placed: Value = placed.json().await?;
        let order_path = format!("/orders/{}", placed["order_id"].as_str().context("no order_id")?);
        let pay_path = format!("{order_path}/pay");
        for (who, path, body, expected) in [
            (("orders:place", Some("alice")), "/orders", order, StatusCode::FORBIDDEN),
            (("orders:place", None), &pay_path, json!({}), StatusCode::FORBIDDEN),
            (("orders:pay", None), &pay_path, json!({}), StatusCode::OK),
        ] {
            assert_eq!(caller.post(who, path, body).await?.status(), expected, "{kid} {who:?} {path}");
        }
        let order_path = format!("{order_path}?min_version=2");
        for (who, kind, path, expected) in [
            (("orders:read", Some("alice")), ServiceKind::ReadApi, order_path.as_str(), StatusCode::OK),
            (("orders:read", Some("bob")), ServiceKind::ReadApi, "/customers/bob/orders", StatusCode::OK),
            (
                ("orders:read", Some("bob")),
                ServiceKind::ReadApi,
                "/customers/alice/orders",
                StatusCode::FORBIDDEN,
            ),
            (("orders:read", None), ServiceKind::ReadApi, "/customers/alice/orders", StatusCode::FORBIDDEN),
            (("events:read", None), ServiceKind::RevenueProjector, "/events", StatusCode::OK),
            (("revenue:read", None), ServiceKind::RevenueApi, "/revenue?by=month", StatusCode::OK),
            (("revenue:read", None), ServiceKind::RevenueProjector, "/events", StatusCode::FORBIDDEN),
        ] {
            assert_eq!(caller.get(who, kind, path).await?, expected, "{kid} {who:?} {path}");
        }
    }
    Ok(())
}

/// Changes that no process minds: a name, and what changes in header and claims.
fn accepted(now: u64) -> Vec<(&'static str, Value, Value)> {
    let header = |header| (header, json!({}));
    let claims = |claims| (json!({}), claims);
    let all = [
        ("nothing", header(json!({}))),
        ("the type of an access token", header(json!({"typ": "at+jwt"}))),
        ("no type", header(json!({"typ": null}))),
        ("several audiences", claims(json!({"aud": ["other", AUDIENCE]}))),
        (
            "scopes as an array",
            claims(json!({"scope": ["orders:place", "orders:read:any", "events:read", "revenue:read"]})),
        ),
        ("expired within the leeway", claims(json!({"exp": now - 5}))),
        ("valid soon, within the leeway", claims(json!({"nbf": now + 20}))),
    ];
    all.into_iter().map(|(name, (header, claims))| (name, header, claims)).collect()
}

/// Changes that every process refuses.
fn refused(now: u64, other_kid: &str) -> Vec<(&'static str, Value, Value)> {
    let header = |header| (header, json!({}));
    let claims = |claims| (json!({}), claims);
    let all = [
        ("another issuer", claims(json!({"iss": format!("{ISSUER}/")}))),
        ("no issuer", claims(json!({"iss": null}))),
        ("another audience", claims(json!({"aud": "other"}))),
        ("no audience", claims(json!({"aud": null}))),
        ("no matching audience", claims(json!({"aud": ["other", "orders-2"]}))),
        ("no subject", claims(json!({"sub": null}))),
        ("an empty subject", claims(json!({"sub": ""}))),
        ("a long subject", claims(json!({"sub": "x".repeat(256)}))),
        ("no expiry", claims(json!({"exp": null}))),
        ("expired", claims(json!({"exp": now - 31}))),
        ("an absurd expiry", claims(json!({"exp": 1e30}))),
        ("an expiry as a text", claims(json!({"exp": (now + 600).to_string()}))),
        ("not yet valid", claims(json!({"nbf": now + 300}))),
        ("more than 8 KiB", claims(json!({"more": "x".repeat(8 * 1024)}))),
        ("another type", header(json!({"typ": "dpop+jwt"}))),
        ("a critical extension", header(json!({"crit": ["b64"], "b64": true}))),
        ("no key", header(json!({"kid": null}))),
        ("an unknown key", header(json!({"kid": "unknown"}))),
        ("another key", header(json!({"kid": other_kid}))),
        ("a key at an address of its own", header(json!({"kid": "unknown", "jku": "http://127.0.0.1:1/"}))),
    ];
    all.into_iter().map(|(name, (header, claims))| (name, header, claims)).collect()
}

#[tokio::test]
async fn tokens_that_were_changed_before_they_were_signed_are_refused_by_all_apis() -> Result<()> {
    let Some(issuer) = Issuer::start().await? else { return Ok(()) };
    let (kid, other_kid) = (issuer.add_key("ES256").await?, issuer.add_key("ES256").await?);
    let apis = Apis::start(&issuer).await?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    for (name, header, claims) in accepted(now) {
        let token = issuer.changed_token(&kid, &header, &claims).await?;
        for api in apis.iter() {
            api.check(&token).await.with_context(|| name)?;
        }
    }
    let mut problems = Vec::new();
    for (name, header, claims) in refused(now, &other_kid) {
        let token = issuer.changed_token(&kid, &header, &claims).await?;
        for api in apis.iter() {
            let response = api.call(&token).await?;
            let who = format!("{name}: {}", api.kind.name());
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{who}");
            let challenge = response.headers().get("www-authenticate").context("no challenge")?;
            assert_eq!(challenge, r#"Bearer error="invalid_token""#, "{who}");
            let id = response.headers().get("x-request-id").context("no id")?.to_str()?.to_owned();
            problems.push(response.text().await?.replace(&id, ""));
        }
    }
    problems.dedup();
    assert_eq!(problems.len(), 1, "which check failed is not disclosed: {problems:?}");
    let claims = json!({"scope": "orders:read"});
    let token = issuer.changed_token(&kid, &json!({}), &claims).await?;
    for api in apis.iter() {
        assert_eq!(api.status(&token).await?, StatusCode::FORBIDDEN);
    }
    Ok(())
}
