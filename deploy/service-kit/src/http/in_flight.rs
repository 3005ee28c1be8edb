//! Requests that have no response yet.

use std::cell::Cell;
use std::rc::Rc;

use actix_web::HttpRequest;
use metrics::{Counter, counter};

use super::connection::Connection;
use crate::metrics::Registry;
use crate::overload::OncePerSecond;
use crate::problem::Problem;

/// What a thread may have in flight, and what is counted beyond it.
#[derive(Clone)]
pub(super) struct MaxInFlight {
    max: usize,
    refused: Counter,
}

/// The requests in flight of one thread.
#[derive(Clone)]
pub(super) struct InFlight {
    count: Rc<Cell<usize>>,
    limit: MaxInFlight,
}

/// A request in flight, until this is dropped.
pub(super) struct Permit(Rc<Cell<usize>>);

impl MaxInFlight {
    pub(super) fn register(registry: &Registry, listener: &'static str, max: usize) -> Self {
        let refused = || counter!("orders_http_in_flight_refused_total", "listener" => listener);
        Self { max, refused: registry.register(refused) }
    }
}

impl InFlight {
    pub(super) fn new(limit: MaxInFlight) -> Self {
        Self { count: Rc::default(), limit }
    }

    /// Counts one more, if there is room.
    pub(super) fn enter(&self) -> Result<Permit, Problem> {
        static REFUSED: OncePerSecond = OncePerSecond::new();
        if self.count.get() < self.limit.max {
            self.count.set(self.count.get() + 1);
            return Ok(Permit(Rc::clone(&self.count)));
        }
        self.limit.refused.increment(1);
        if let Some(times) = REFUSED.count() {
            tracing::info!(times, "overloaded: too many requests are in flight");
        }
        Err(Problem::unavailable("Too many requests are being processed. Send the same request again."))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// The request waits, so it no longer counts as in flight: it has a limit of its own.
pub(crate) fn begin_wait(request: &HttpRequest) {
    if let Some(connection) = request.conn_data::<Rc<Connection>>() {
        connection.end_work();
    }
}
