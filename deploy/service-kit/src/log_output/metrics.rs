//! What the metrics say of the log.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use super::{dropped, is_failing};
use crate::metrics::Registry;

const WRITABLE: &str = "orders_log_writable";
const DROPPED: &str = "orders_log_lines_dropped_total";

/// Shows in the metrics of `registry` whether the log of this process can be written, and how many lines it has lost.
pub(crate) fn observe(registry: &Registry) {
    let (writable, access, other, records) = registry.register(|| {
        describe_gauge!(
            WRITABLE,
            "1 if lines of the log can be written; otherwise 0: they are dropped, and write-api refuses commands."
        );
        describe_counter!(
            DROPPED,
            "Lines of the log that are lost, because it could not be written fast enough: about requests (`access`), \
             about commands (`audit`), and all others (`log`)."
        );
        let of = |kind: &'static str| counter!(DROPPED, "kind" => kind);
        (gauge!(WRITABLE), of("access"), of("log"), of("audit"))
    });
    registry.before_each_scrape(move || {
        writable.set(if is_failing() { 0.0 } else { 1.0 });
        let dropped = dropped();
        access.absolute(dropped.access);
        other.absolute(dropped.other);
        records.absolute(dropped.records);
    });
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::super::queue::Priority;
    use super::super::{CAPACITY, QUEUE};
    use super::*;

    #[actix_web::test]
    async fn lines_that_are_lost_are_counted_by_what_they_are_about() {
        let registry = Registry::new(&[]).unwrap();
        // No test fills the queue of this process: only these have no room.
        let line = vec![b'x'; CAPACITY + 1];
        for (priority, lines) in [(Priority::Lowest, 3), (Priority::Low, 2), (Priority::High, 1)] {
            for _ in 0..lines {
                QUEUE.push(&line, priority);
            }
        }
        let text = to_bytes(registry.response().into_body()).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        for (kind, lines) in [("access", 3), ("log", 2), ("audit", 1)] {
            let sample = format!("orders_log_lines_dropped_total{{kind=\"{kind}\"}} {lines}");
            assert!(text.lines().any(|found| found == sample), "{sample} is missing in:\n{text}");
        }
    }
}
