//! The spans of writes. A batch has a trace of its own, with a link to each request that it serves; each of these has
//! spans for its wait and its commit, in its own trace. Only for requests whose traces are recorded.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use service_kit::database::DatabaseError;
use service_kit::traces::{Running, Step, TraceContext};
use uuid::Uuid;

use super::pending_write::PendingWrite;

/// The request of a write.
#[derive(Debug)]
pub(super) struct WriteTrace {
    context: TraceContext,
    queued_at: SystemTime,
    /// A write that is tried again has waited once.
    has_waited: AtomicBool,
}

impl WriteTrace {
    /// A write of this request is queued now.
    pub(super) fn queued(context: TraceContext) -> Arc<Self> {
        Arc::new(Self { context, queued_at: SystemTime::now(), has_waited: AtomicBool::new(false) })
    }
}

/// A batch in which some writes have a trace.
pub(super) struct BatchTrace {
    began: SystemTime,
    ended: SystemTime,
    writes: usize,
    traced: Vec<TracedWrite>,
}

struct TracedWrite {
    order_id: Uuid,
    version: i32,
    trace: Arc<WriteTrace>,
}

impl BatchTrace {
    /// The batch is executed now; none if no write of it has a trace.
    pub(super) fn begin(batch: &[PendingWrite]) -> Option<Self> {
        let traced = batch.iter().filter_map(|write| {
            let trace = Arc::clone(write.trace.as_ref()?);
            Some(TracedWrite { order_id: write.row.order_id, version: write.row.version, trace })
        });
        let traced: Vec<_> = traced.collect();
        if traced.is_empty() {
            return None;
        }
        let began = SystemTime::now();
        Some(Self { began, ended: began, writes: batch.len(), traced })
    }

    /// PostgreSQL has responded, or has not in time.
    pub(super) fn executed(&mut self) {
        self.ended = SystemTime::now();
    }

    /// Records the spans. After the replies: it may take some microseconds for each write.
    pub(super) fn record(self, saved: &Result<HashSet<Uuid>, String>) {
        let writes = i64::try_from(self.writes).unwrap_or(i64::MAX);
        let batch = Step::new("commit batch")
            .client()
            .since(self.began)
            .with("db.system.name", "postgresql")
            .with("orders.batch.writes", writes)
            .serving(self.traced.iter().map(|write| &write.trace.context))
            .root();
        let batch_context = batch.as_ref().and_then(Running::context);
        for write in &self.traced {
            self.record_write(write, batch_context.as_ref(), saved);
        }
        if let Some(batch) = batch {
            ended(batch, saved.as_ref().err(), self.ended);
        }
    }

    fn record_write(
        &self,
        write: &TracedWrite,
        batch: Option<&TraceContext>,
        saved: &Result<HashSet<Uuid>, String>,
    ) {
        let trace = &write.trace;
        if !trace.has_waited.swap(true, Ordering::Relaxed)
            && let Some(waited) = Step::new("wait for batch").since(trace.queued_at).child_of(&trace.context)
        {
            waited.end_at(self.began);
        }
        let mut commit = Step::new("commit")
            .client()
            .since(self.began)
            .with("db.system.name", "postgresql")
            .with("order.id", write.order_id.to_string())
            .with("order.version", i64::from(write.version));
        if let Ok(saved) = saved {
            commit = commit.with("orders.stored", saved.contains(&write.order_id));
        }
        if let Some(batch) = batch {
            commit = commit.linked_to(batch);
        }
        if let Some(commit) = commit.child_of(&trace.context) {
            ended(commit, saved.as_ref().err(), self.ended);
        }
    }
}

fn ended(span: Running, error: Option<&String>, at: SystemTime) {
    match error {
        Some(error) => span.failed(error.clone()).end_at(at),
        None => span.end_at(at),
    }
}

/// What the spans say of a failure: not what PostgreSQL says, which may show the row.
pub(super) fn reason(error: &DatabaseError) -> String {
    error.to_string()
}
