//! What becomes of a request and its event, as a collector of traces sees it: with the real processes.

mod collectors;
mod incoming;
mod lines;
mod scene;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::certificates::{Authority, Validity};
use testkit::otlp::{Collector, Span};
use testkit::services::{ServiceBinaries, ServiceKind};
use testkit::wait;
use testkit::webhook_receiver::Receiver;

use self::scene::{LIMIT, Scene};

/// The span with this name.
fn named<'a>(trace: &'a [Span], name: &str) -> Result<&'a Span> {
    trace.iter().find(|span| span.name == name).with_context(|| format!("no {name} in {trace:#?}"))
}

/// The spans with this name are all directly below `parent`.
fn ensure_below(trace: &[Span], parent: &Span, names: &[&str]) -> Result<()> {
    for name in names {
        let below = trace.iter().filter(|span| span.name == *name);
        ensure!(named(trace, name)?.parent == parent.id, "{name} in {trace:#?}");
        ensure!(below.clone().all(|span| span.parent == parent.id), "{name} in {trace:#?}");
    }
    Ok(())
}

/// `span` names the batch with this name, and that names `request`: both ways lead to the other trace.
async fn ensure_batch(collector: &Collector, span: &Span, name: &str, request: &Span) -> Result<()> {
    let batch = wait::until("the span of a batch", LIMIT, async || {
        let all = collector.spans();
        all.iter().find(|other| span.links.contains(&other.id)).cloned().ok_or(all.len())
    });
    let batch = batch.await?;
    ensure!(batch.name == name && batch.trace != span.trace && batch.parent.is_empty(), "{batch:#?}");
    ensure!(batch.links.contains(&request.id), "{batch:#?} of {request:#?}");
    Ok(())
}

const OF_AN_EVENT: [&str; 7] = [
    "wait for batch",
    "commit",
    "claim",
    "project",
    "subscription revenue_1",
    "subscription webhook:1",
    "webhook",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_placed_order_and_a_step_have_a_trace_from_the_request_to_the_webhook() -> Result<()> {
    let receiver = Receiver::start().await?;
    let scene = Scene::start(&[]).await?;
    scene.operator().json(&["webhooks", "add", "--url", receiver.url()]).await?;
    // No name that could stand in the hexadecimal id of a span.
    let order = scene.place("ursula", 5).await?;
    scene.step(&order, "pay").await?;
    for name in ["POST /orders", "POST /orders/{order_id}/pay"] {
        let trace = scene.collector.trace(|span| span.name == name, &OF_AN_EVENT).await?;
        let request = named(&trace, name)?;
        ensure!(request.parent.is_empty(), "{request:#?}");
        ensure!(request.attributes.contains_key("request.id"), "{request:#?}");
        let status = if name == "POST /orders" { "201" } else { "200" };
        ensure!(request.attributes.get("http.response.status_code").is_some_and(|code| code == status));
        let direct: Vec<_> = OF_AN_EVENT.into_iter().filter(|name| *name != "project").collect();
        ensure_below(&trace, request, &direct)?;
        let line = scene.line("write-api", &[("message", "request"), ("trace_id", &request.trace)]).await?;
        ensure!(line["span_id"] == request.id.as_str(), "{line}");
        let (commit, claim) = (named(&trace, "commit")?, named(&trace, "claim")?);
        ensure_below(&trace, claim, &["project"])?;
        ensure!(commit.attributes.get("order.id") == Some(&order), "{commit:#?}");
        ensure_batch(&scene.collector, commit, "commit batch", request).await?;
        ensure_batch(&scene.collector, claim, "projection batch", request).await?;
        let subscription = named(&trace, "subscription revenue_1")?;
        ensure_batch(&scene.collector, subscription, "subscription batch", request).await?;
        for span in &trace {
            let is_of_write = [name, "wait for batch", "commit"].contains(&span.name.as_str());
            let expected = if is_of_write { "write-api" } else { "revenue-projector" };
            ensure!(span.service == expected && !span.is_error, "{span:#?}");
        }
    }
    // Neither the URL of the endpoint nor the content of an order.
    let all = format!("{:?}", scene.collector.spans());
    ensure!(!all.contains(receiver.url()) && !all.contains("ursula"), "{all}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_event_is_seen_to_fail_and_to_succeed_in_the_trace_of_its_request() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let session = scene.database.connect().await?;
    session
        .batch_execute("ALTER TABLE order_summary ADD CONSTRAINT seven CHECK (total_cents <> 7) NOT VALID")
        .await?;
    let order = scene.place("ada", 7).await?;
    let is_it = |span: &Span| span.attributes.get("order.id") == Some(&order);
    let trace = scene.collector.trace(is_it, &["POST /orders", "project"]).await?;
    let failed = named(&trace, "project")?;
    ensure!(
        failed.is_error && failed.attributes.get("orders.event.outcome").is_some_and(|is| is == "parked")
    );
    let line = scene.line("revenue-projector", &[("message", "events parked")]).await?;
    for (field, expected) in [
        ("trace_id", Value::from(failed.trace.clone())),
        ("order.id", Value::from(order.clone())),
        ("order.version", Value::from(1)),
    ] {
        ensure!(line.get(field) == Some(&expected), "{field} in {line}");
    }

    session.batch_execute("ALTER TABLE order_summary DROP CONSTRAINT seven").await?;
    scene.operator().json(&["parked", "retry", "--all"]).await?;
    let trace = wait::until("a second attempt", LIMIT, async || {
        let trace = scene.collector.spans().into_iter().filter(|span| span.trace == failed.trace);
        let trace: Vec<_> = trace.collect();
        let applied = trace.iter().any(|span| {
            span.name == "project"
                && span.attributes.get("orders.event.outcome").is_some_and(|is| is == "applied")
        });
        if applied { Ok(trace) } else { Err(trace.len()) }
    });
    let trace = trace.await?;
    let request = named(&trace, "POST /orders")?;
    ensure_below(&trace, request, &["claim"])?;
    let sources: Vec<_> = trace.iter().filter(|span| span.name == "claim").collect();
    let sources: Vec<_> =
        sources.iter().filter_map(|span| span.attributes.get("orders.event.source")).collect();
    ensure!(sources.iter().any(|source| *source == "outbox"), "{sources:?}");
    ensure!(sources.iter().any(|source| *source == "parked_events"), "{sources:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_republished_order_begins_a_trace() -> Result<()> {
    let scene = Scene::start(&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]).await?;
    let order = scene.place("ada", 5).await?;
    let program = ServiceBinaries::built().await?.program(ServiceKind::WriteApi);
    let mut command = tokio::process::Command::new(program);
    command.arg("republish").env("DATABASE_URL", scene.database.url("orders_write_api"));
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", scene.collector.url()).env("OTEL_SERVICE_NAME", "republisher");
    ensure!(command.kill_on_drop(true).output().await?.status.success());
    let is_it = |span: &Span| span.name == "republish order";
    let trace = scene.collector.trace(is_it, &["claim", "project", "subscription revenue_1"]).await?;
    let root = named(&trace, "republish order")?;
    ensure!(root.parent.is_empty() && root.service == "republisher", "{root:#?}");
    ensure!(root.attributes.get("order.id") == Some(&order), "{root:#?}");
    ensure_below(&trace, root, &["claim", "subscription revenue_1"])?;
    let batch = scene.collector.spans().into_iter().find(|span| span.name == "republish batch");
    ensure!(batch.as_ref().is_some_and(|batch| batch.links == [root.id.clone()]), "{batch:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_not_sampled_leaves_no_span_and_no_trace_context() -> Result<()> {
    let scene = Scene::start(&[("OTEL_TRACES_SAMPLER", "always_off")]).await?;
    scene.place("ada", 5).await?;
    let session = scene.database.connect().await?;
    let logged = wait::until("the event in the log", LIMIT, async || {
        let rows = session.query("SELECT traceparent FROM event_log", &[]).await;
        let rows = rows.map_err(|error| error.to_string())?;
        rows.first().map(|row| row.get::<_, Option<String>>(0)).ok_or_else(|| "none".to_owned())
    });
    ensure!(logged.await?.is_none());
    ensure!(scene.metric(&scene.write, "orders_trace_spans_exported_total").await? == Some(0.0));
    let Scene { write, projector, collector, .. } = scene;
    ensure!(write.stop()?.success() && projector.stop()?.success());
    ensure!(collector.spans().is_empty(), "{:#?}", collector.spans());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_and_attributes_reach_the_collector() -> Result<()> {
    let scene = Scene::start(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a-secret"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop"),
    ])
    .await?;
    scene.place("ada", 5).await?;
    let trace = scene.collector.trace(|span| span.name == "POST /orders", &["commit"]).await?;
    ensure!(named(&trace, "POST /orders")?.service == "shop");
    let heads = scene.collector.heads();
    ensure!(heads.iter().all(|head| head.contains("POST /v1/traces ")), "{heads:?}");
    ensure!(heads.iter().all(|head| head.contains("authorization: Bearer a-secret")), "{heads:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_with_tls_must_have_a_certificate_that_is_trusted() -> Result<()> {
    let authority = Authority::new("the collector's")?;
    let identity = authority.issue(&["localhost"], Validity::Now)?;
    let dir = tempfile::tempdir()?;
    let roots = dir.path().join("roots.pem");
    std::fs::write(&roots, authority.certificate())?;
    let trusted = [("SSL_CERT_FILE", roots.to_str().context("no text")?)];
    let scene = Scene::with_collector(Collector::start_with_tls(&identity).await?, &trusted).await?;
    scene.place("ada", 5).await?;
    scene.collector.trace(|span| span.name == "POST /orders", &["commit", "project"]).await?;

    // The retries of an export end with its time.
    let soon = [("OTEL_EXPORTER_OTLP_TIMEOUT", "500")];
    let scene = Scene::with_collector(Collector::start_with_tls(&identity).await?, &soon).await?;
    scene.place("ada", 5).await?;
    wait::until("spans that are lost", LIMIT, async || {
        match scene.metric(&scene.write, "orders_trace_spans_dropped_total").await {
            Ok(Some(lost)) if lost > 0.0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    ensure!(scene.collector.spans().is_empty(), "{:#?}", scene.collector.spans());
    Ok(())
}
