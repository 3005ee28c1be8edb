//! A caller's `traceparent`: trusted only if the operator says so.

use anyhow::{Result, ensure};
use testkit::otlp::Span;

use super::scene::Scene;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn is_request(span: &Span) -> bool {
    span.name == "POST /orders"
}

async fn place(scene: &Scene, flags: &str) -> Result<()> {
    let context = format!("00-{TRACE}-{CALLER}-{flags}");
    scene.order("ada", 5).header("traceparent", context).send().await?.error_for_status()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_is_not_trusted_gets_a_new_trace_with_a_link_to_its_own() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    // Not sampled: this decides nothing here.
    place(&scene, "00").await?;
    let trace = scene.collector.trace(is_request, &["commit", "project"]).await?;
    let request = super::named(&trace, "POST /orders")?;
    ensure!(request.trace != TRACE && request.parent.is_empty(), "{request:#?}");
    ensure!(request.links == [CALLER], "{request:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_is_not_trusted_cannot_have_its_request_recorded() -> Result<()> {
    let scene = Scene::start(&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]).await?;
    place(&scene, "01").await?;
    let Scene { write, collector, .. } = scene;
    ensure!(write.stop()?.success());
    ensure!(collector.spans().is_empty(), "{:#?}", collector.spans());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_caller_continues_its_trace_and_decides_whether_it_is_recorded() -> Result<()> {
    let trust = [("TRACE_INCOMING", "trust"), ("OTEL_TRACES_SAMPLER", "parentbased_always_on")];
    let scene = Scene::start(&trust).await?;
    place(&scene, "00").await?;
    place(&scene, "01").await?;
    let trace = scene.collector.trace(is_request, &["commit", "project"]).await?;
    let request = super::named(&trace, "POST /orders")?;
    ensure!(request.trace == TRACE && request.parent == CALLER, "{request:#?}");
    let Scene { write, collector, .. } = scene;
    ensure!(write.stop()?.success());
    let requests = collector.spans().iter().filter(|span| is_request(span)).count();
    ensure!(requests == 1, "the one that is not sampled is recorded");
    Ok(())
}
