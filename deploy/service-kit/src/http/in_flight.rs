//! Requests that have no response yet.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use super::connection::Connection;
use crate::metrics::Registry;
use crate::overload::OncePerSecond;
use crate::problem::Problem;

/// What a thread may have in flight, and what is counted beyond it.
#[derive(Clone)]
pub(super) struct MaxInFlight {
    max: usize,
    listener: &'static str,
    refused: Counter,
    now: Gauge,
    /// Of all threads of the listener.
    line: Arc<OncePerSecond>,
}

/// The requests in flight of one thread.
#[derive(Clone)]
pub(super) struct InFlight {
    count: Rc<Cell<usize>>,
    limit: MaxInFlight,
}

/// A request in flight, until this is dropped.
pub(super) struct Permit {
    count: Rc<Cell<usize>>,
    now: Gauge,
}

impl MaxInFlight {
    pub(super) fn register(registry: &Registry, listener: &'static str, max: usize) -> Self {
        registry.register(|| {
            describe_counter!(
                "orders_http_in_flight_refused_total",
                "Requests refused because HTTP_MAX_IN_FLIGHT of the thread had no response yet."
            );
            describe_gauge!(
                "orders_http_in_flight_requests",
                "Requests without a response, besides those that wait and streams."
            );
            Self {
                max,
                listener,
                refused: counter!("orders_http_in_flight_refused_total", "listener" => listener),
                now: gauge!("orders_http_in_flight_requests", "listener" => listener),
                line: Arc::default(),
            }
        })
    }
}

impl InFlight {
    pub(super) fn new(limit: MaxInFlight) -> Self {
        Self { count: Rc::default(), limit }
    }

    /// Counts one more, if there is room.
    pub(super) fn enter(&self) -> Result<Permit, Problem> {
        if self.count.get() < self.limit.max {
            self.count.set(self.count.get() + 1);
            self.limit.now.increment(1.0);
            return Ok(Permit { count: Rc::clone(&self.count), now: self.limit.now.clone() });
        }
        self.limit.refused.increment(1);
        if let Some(times) = self.limit.line.count() {
            let listener = self.limit.listener;
            tracing::info!(listener, times, "overloaded: too many requests are in flight");
        }
        Err(Problem::unavailable("Too many requests are being processed. Send the same request again."))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.count.set(self.count.get().saturating_sub(1));
        self.now.decrement(1.0);
    }
}

/// The request waits, so it no longer counts as in flight: it has a limit of its own.
pub(crate) fn begin_wait(request: &HttpRequest) {
    if let Some(connection) = request.conn_data::<Rc<Connection>>() {
        connection.end_work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_log::Log;

    fn refuse_at_each_listener() {
        let registry = Registry::new(&[]).unwrap();
        for listener in ["api", "admin"] {
            let in_flight = InFlight::new(MaxInFlight::register(&registry, listener, 0));
            for _ in 0..3 {
                assert!(in_flight.enter().is_err());
            }
        }
    }

    #[test]
    fn a_listener_that_is_full_hides_no_line_of_the_other() {
        let (log, _guard) = Log::of_this_thread();
        refuse_at_each_listener();
        log.enable_lines();
        refuse_at_each_listener();
        let lines: Vec<_> = log.text().lines().map(str::to_owned).collect();
        let [api, admin] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(api.contains(r#""listener":"api""#) && admin.contains(r#""listener":"admin""#), "{lines:?}");
        assert!(lines.iter().all(|line| line.contains(r#""times":1"#)), "{lines:?}");
    }
}
