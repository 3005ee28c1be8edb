//! The operator's page: what it shows, what it changes, and whom it refuses. `deploy/e2e/tests/browser` tests it in a
//! browser.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use projector::{Config, Projector};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::Scene;

pub(crate) struct Page {
    pub(crate) scene: Scene,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<Result<(), projector::ProjectorError>>,
}

impl Page {
    /// With [`prepare`]d tables.
    pub(crate) async fn open(actions: Option<&str>) -> Result<Self> {
        let scene = Scene::create().await?;
        prepare(&scene).await?;
        let mut vars = scene.vars();
        vars.extend(actions.map(|value| ("ADMIN_ACTIONS".to_owned(), value.to_owned())));
        let stop = CancellationToken::new();
        let projector = Projector::start(&Config::from_vars(&vars)?, projector::projections(), stop.clone())?;
        let address = projector.address();
        Ok(Self { scene, address, stop, running: tokio::spawn(projector.run()) })
    }

    pub(crate) async fn close(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.running.await??)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        Client::new().request(method, format!("http://{}{path}", self.address))
    }

    async fn get(&self, path: &str) -> Result<Response> {
        Ok(self.request(Method::GET, path).send().await?)
    }

    pub(crate) async fn json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.get(path).await?.error_for_status()?.text().await?)?)
    }

    fn action(&self, body: &str) -> RequestBuilder {
        let post = self.request(Method::POST, "/operator/actions").body(body.to_owned());
        post.header("content-type", "application/json").header("x-orders-action", "1")
    }

    async fn act(&self, body: &Value) -> Result<u16> {
        Ok(self.action(&body.to_string()).send().await?.status().as_u16())
    }

    async fn text(&self, query: &str) -> Result<String> {
        Ok(self.scene.session.query_one(query, &[]).await?.get(0))
    }
}

/// Three events are left for an operator, and one subscription and one webhook endpoint run.
pub(crate) async fn prepare(scene: &Scene) -> Result<()> {
    let rows = r#"INSERT INTO parked_events (id, kind, payload, created_at, attempts, error, next_attempt_at)
        SELECT id, 'order_gift_wrapped',
            '{"order": {"order_id": "0193a0c0-5f6e-7c1a-9d7e-2b6f3a1c4d5e", "version": 7}, "ribbon": "secret-red"}',
            now(), 12, 'the kind is not known', NULL
        FROM generate_series(1, 3) AS id;
        INSERT INTO subscriptions (name) VALUES ('statistics');
        INSERT INTO subscription_checkpoints (subscription, generation, checkpoint, history)
        VALUES ('statistics', 1, 0, 0);
        INSERT INTO webhook_endpoints (slot, url, kinds) VALUES (1, 'https://receiver.example/hook-secret', '{}')"#;
    Ok(scene.session.batch_execute(rows).await?)
}

/// The status and the type of a problem.
pub(crate) async fn problem(response: Response) -> Result<(u16, String)> {
    let status = response.status().as_u16();
    let text = response.text().await?;
    let document: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let slug = document.get("type").and_then(Value::as_str).context("no type")?.to_owned();
    Ok((status, slug))
}

#[tokio::test]
async fn the_page_may_use_nothing_else_and_holds_no_connection() -> Result<()> {
    let page = Page::open(None).await?;
    for path in ["/", "/operator.css", "/operator.js", "/requests.js", "/tables.js"] {
        let response = page.get(path).await?.error_for_status()?;
        let header = |name: &str| response.headers()[name].to_str().map(str::to_owned);
        let policy = header("content-security-policy")?;
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(header("x-content-type-options")?, "nosniff");
        assert_eq!(header("referrer-policy")?, "no-referrer");
        assert_eq!(header("connection")?, "close");
        let text = response.text().await?;
        assert!(!text.contains("http://") && !text.contains("https://"), "{path} uses another origin");
        assert!(!text.contains("innerHTML") && !text.contains(" style="), "{path}");
    }
    let response = page.get("/operator/state").await?;
    assert_eq!(response.headers()["connection"], "close");
    page.close().await
}

#[tokio::test]
async fn it_shows_state_and_parked_events_in_pages_without_payloads() -> Result<()> {
    let page = Page::open(None).await?;
    let state = page.json("/operator/state").await?;
    assert_eq!((&state["may_act"], &state["outbox"]["parked_left_for_operator"]), (&json!(false), &json!(3)));
    assert_eq!(state["subscriptions"][0]["name"], "statistics", "{state}");
    assert_eq!(state["webhooks"][0]["host"], "receiver.example");
    assert!(!state.to_string().contains("hook-secret"), "{state}");
    let first = page.json("/operator/parked?limit=2").await?;
    assert_eq!(first["next"], 2, "{first}");
    let event = &first["events"][0];
    assert_eq!(
        (&event["order_id"], &event["version"]),
        (&json!("0193a0c0-5f6e-7c1a-9d7e-2b6f3a1c4d5e"), &json!(7)),
        "{event}"
    );
    assert_eq!((&event["reason"], &event["attempts"]), (&json!("the kind is not known"), &json!(12)));
    assert!(!first.to_string().contains("secret-red"), "{first}");
    let last = page.json("/operator/parked?limit=2&after=2").await?;
    assert_eq!((last["events"].as_array().map(Vec::len), &last["next"]), (Some(1), &Value::Null));
    for wrong in ["limit=0", "limit=101", "limit=x", "after=x", "sort=up"] {
        let response = page.get(&format!("/operator/parked?{wrong}")).await?;
        assert_eq!(problem(response).await?, (400, "/problems/invalid-parameter".into()), "{wrong}");
    }
    for unknown in ["subscription=nobody", "subscription=%00"] {
        let response = page.get(&format!("/operator/parked?{unknown}")).await?;
        assert_eq!(problem(response).await?, (404, "/problems/unknown-id".into()), "{unknown}");
    }
    page.close().await
}

#[tokio::test]
async fn without_admin_actions_nothing_is_changed() -> Result<()> {
    for value in [None, Some("off")] {
        let page = Page::open(value).await?;
        let response = page.action(r#"{"action":"discard_parked","id":1}"#).send().await?;
        assert_eq!(problem(response).await?, (403, "/problems/actions-off".into()));
        assert_eq!(page.scene.count("parked_events").await?, 3);
        page.close().await?;
    }
    let error = Page::open(Some("yes")).await.err().context("it starts")?;
    assert_eq!(error.to_string(), "ADMIN_ACTIONS must be `on` or `off`");
    Ok(())
}

#[tokio::test]
async fn with_admin_actions_it_does_what_the_commands_do() -> Result<()> {
    let page = Page::open(Some("on")).await?;
    assert_eq!(page.json("/operator/state").await?["may_act"], true);
    assert_eq!(page.act(&json!({"action": "discard_parked", "id": 2})).await?, 204);
    // The page sees at once what it did.
    let state = page.json("/operator/state").await?;
    assert_eq!(state["outbox"]["parked_left_for_operator"], 2, "{state}");
    assert_eq!(page.act(&json!({"action": "retry_parked", "id": 1})).await?, 204);
    let retried = "SELECT (next_attempt_at IS NOT NULL)::text FROM parked_events WHERE id = 1";
    assert_eq!(page.text(retried).await?, "true");
    let subscription = "SELECT state FROM subscriptions WHERE name = 'statistics'";
    let webhook = "SELECT state FROM webhook_endpoints";
    let id: i64 = page.scene.session.query_one("SELECT id FROM webhook_endpoints", &[]).await?.get(0);
    for (verb, [of_subscription, of_webhook]) in
        [("pause", ["paused", "paused"]), ("resume", ["running", "active"])]
    {
        let action = json!({"action": format!("{verb}_subscription"), "name": "statistics"});
        assert_eq!(page.act(&action).await?, 204);
        assert_eq!(page.act(&json!({"action": format!("{verb}_webhook"), "id": id})).await?, 204);
        assert_eq!(page.text(subscription).await?, of_subscription);
        assert_eq!(page.text(webhook).await?, of_webhook);
    }
    for gone in [
        json!({"action": "discard_parked", "id": 2}),
        json!({"action": "retry_parked", "id": 99}),
        json!({"action": "retry_parked", "subscription": "nobody", "id": 1}),
        json!({"action": "pause_subscription", "name": "nobody"}),
        json!({"action": "pause_webhook", "id": -5}),
    ] {
        assert_eq!(page.act(&gone).await?, 404, "{gone}");
    }
    let long = json!({"action": "pause_subscription", "name": "x".repeat(5_000)}).to_string();
    let [zero, wrong] = [r#"{"action":"pause_subscription","name":"\u0000"}"#, r#"{"action":"drop","id":1}"#];
    for body in ["", "{}", "[]", r#"{"action":"retry_parked","id":"1"}"#, zero, wrong, &long] {
        let response = page.action(body).send().await?;
        assert_eq!(problem(response).await?, (400, "/problems/invalid-action".into()), "{body}");
    }
    page.scene.session.batch_execute("UPDATE subscriptions SET state = 'lost'").await?;
    assert_eq!(page.act(&json!({"action": "resume_subscription", "name": "statistics"})).await?, 409);
    page.close().await
}

#[tokio::test]
async fn pages_of_other_origins_can_neither_read_nor_act() -> Result<()> {
    let page = Page::open(Some("on")).await?;
    let (host, body) = (page.address.to_string(), r#"{"action":"discard_parked","id":1}"#);
    for path in ["/", "/operator/state", "/operator/parked"] {
        let response = page.request(Method::GET, path).header("host", "evil.example").send().await?;
        assert_eq!(problem(response).await?, (403, "/problems/not-local".into()), "{path}");
    }
    let post = || page.request(Method::POST, "/operator/actions").body(body);
    let json_type = ("content-type", "application/json");
    let marked = |request: RequestBuilder| request.header("x-orders-action", "1");
    for (request, slug) in [
        (page.action(body).header("host", "evil.example"), "not-local"),
        (page.action(body).header("origin", "http://evil.example"), "not-local"),
        (page.action(body).header("sec-fetch-site", "cross-site"), "not-local"),
        (page.action(body).header("origin", "http://127.0.0.1:1"), "not-from-the-page"),
        (post().header(json_type.0, json_type.1), "not-from-the-page"),
        (marked(post().header(json_type.0, "text/plain")), "not-from-the-page"),
        (marked(post()), "not-from-the-page"),
    ] {
        let (status, found) = problem(request.send().await?).await?;
        assert_eq!((status, found.as_str()), (403, format!("/problems/{slug}").as_str()));
    }
    assert_eq!(page.scene.count("parked_events").await?, 3);
    let preflight = page.request(Method::OPTIONS, "/operator/actions").header("origin", "http://localhost:1");
    let response = preflight.header("access-control-request-method", "POST").send().await?;
    assert!(!response.headers().contains_key("access-control-allow-origin"), "{response:?}");
    let own = page.action(body).header("origin", format!("http://{host}")).send().await?;
    assert_eq!(own.status(), 204);
    page.close().await
}
