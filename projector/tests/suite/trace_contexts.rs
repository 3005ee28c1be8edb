//! The trace context of an event stays with it wherever it waits.

use anyhow::Result;
use projector::batch::BatchOutcome;

use crate::parking::{REFUSE_666, refused_by_trigger};
use crate::support::{Scene, drain, event};

/// A trace context.
pub(crate) const CONTEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

impl Scene {
    /// Gives the events in the outbox a trace context.
    pub(crate) async fn trace_outbox(&self) -> Result<()> {
        self.session.execute("UPDATE outbox SET traceparent = $1", &[&CONTEXT]).await?;
        Ok(())
    }

    /// How many rows of a table have the trace context.
    pub(crate) async fn traced(&self, table: &str) -> Result<i64> {
        self.count(&format!("{table} WHERE traceparent = '{CONTEXT}'")).await
    }
}

#[tokio::test]
async fn an_event_that_waits_and_then_is_parked_keeps_its_trace_context() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(10)?;
    scene.emit([event(1, 1)]).await?;
    drain(&worker).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.execute("SELECT FROM order_summary FOR UPDATE", &[]).await?;
    scene.emit([refused_by_trigger(1)]).await?;
    scene.trace_outbox().await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 0, parked: 0, waiting: 1 });
    assert_eq!((scene.traced("waiting_events").await?, scene.traced("event_log").await?), (1, 1));
    lock.rollback().await?;
    scene.session.batch_execute(REFUSE_666).await?;
    assert_eq!(
        worker.apply_waiting_once().await?,
        BatchOutcome::Committed { applied: 0, parked: 1, waiting: 0 }
    );
    assert_eq!((scene.traced("parked_events").await?, scene.count("event_log").await?), (1, 2));
    Ok(())
}

#[tokio::test]
async fn an_event_of_the_outbox_that_is_parked_keeps_its_trace_context() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    scene.trace_outbox().await?;
    scene.worker(10)?.run_once().await?;
    assert_eq!(scene.traced("parked_events").await?, 1);
    Ok(())
}
