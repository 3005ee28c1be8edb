//! Lines of the projector about an event name its order and the trace of the request that wrote it.

use anyhow::{Result, ensure};
use serde_json::Value;
use testkit::otlp::Span;
use testkit::wait;

use super::scene::{LIMIT, Scene};

impl Scene {
    /// The last line with this message, once it is there, names the order of the trace.
    async fn ensure_named(&self, message: &str, order: &str) -> Result<()> {
        let is_it = |span: &Span| span.attributes.get("order.id").is_some_and(|id| id == order);
        let trace = self.collector.trace(is_it, &["POST /orders"]).await?;
        let line = self.line("revenue-projector", &[("message", message), ("order.id", order)]).await?;
        ensure!(line.get("order.version") == Some(&Value::from(1)), "{line}");
        let id = trace.first().map(|span| Value::from(span.trace.clone()));
        ensure!(line.get("trace_id") == id.as_ref() && line.get("span_id").is_some(), "{line}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_control_names_the_order_and_the_trace_of_the_first_event() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                      $$ BEGIN RAISE EXCEPTION 'nothing can be stored'; END $$;
                  CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON order_summary FOR EACH ROW
                      EXECUTE FUNCTION refuse()";
    scene.database.connect().await?.batch_execute(refuse).await?;
    let order = scene.place("ada", 5).await?;
    let message = "an event was refused, and so was its control; the batch is rolled back and tried again";
    scene.ensure_named(message, &order).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_fails_and_is_given_up_names_the_order_and_the_trace() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    // Nothing listens there.
    scene.operator().json(&["webhooks", "add", "--url", "https://127.0.0.1:1/"]).await?;
    let order = scene.place("ada", 5).await?;
    scene.ensure_named("a webhook was not delivered; it is tried again", &order).await?;
    let session = scene.database.connect().await?;
    let is_long_ago = "UPDATE deliveries SET failures = 50, first_failed_at = now() - interval '80 hours',
                           next_attempt_at = now()
                       WHERE leased_until < now() OR failures < 50";
    wait::until("an event that is given up", LIMIT, async || {
        let changed = session.execute(is_long_ago, &[]).await.map_err(|error| error.to_string())?;
        let parked = session.query_one("SELECT count(*) FROM subscription_parked", &[]).await;
        let parked: i64 = parked.map_err(|error| error.to_string())?.get(0);
        if parked == 1 { Ok(()) } else { Err(format!("{changed} changed, {parked} parked")) }
    })
    .await?;
    scene.ensure_named("events parked that a webhook endpoint has refused for too long", &order).await
}
