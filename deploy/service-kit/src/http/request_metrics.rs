//! How long requests take.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::{Method, StatusCode};
use metrics::{Histogram, Unit, describe_histogram, histogram};
use utoipa::openapi::OpenApi;

use super::access_log::client_gone;
use super::connection::Connection;
use crate::metrics::Registry;

/// The name, the labels and the buckets are those of OpenTelemetry's conventions for HTTP.
pub(crate) const DURATION: &str = "http_server_request_duration_seconds";
pub(crate) const DURATION_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The paths of [`probe`](crate::resource::probe)s.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Methods with a label of their own.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
const OTHER_METHOD: &str = "_OTHER";

/// The path pattern of a resource, and the histograms of its requests on this thread.
pub(crate) struct PathPattern {
    text: String,
    /// Probes and scrapes are not measured.
    is_probe: bool,
    /// Few: one for each method and status that occurred.
    durations: RefCell<Vec<(&'static str, StatusCode, Histogram)>>,
}

impl PathPattern {
    pub(crate) fn new(pattern: &str) -> Rc<Self> {
        Rc::new(Self { text: pattern.to_owned(), is_probe: false, durations: RefCell::default() })
    }

    pub(crate) fn of_probe(pattern: &str) -> Rc<Self> {
        Rc::new(Self { text: pattern.to_owned(), is_probe: true, durations: RefCell::default() })
    }

    pub(super) fn is_probe(&self) -> bool {
        self.is_probe
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// The patterns at which requests were refused before their resource, each with its histograms: to refuse is cheap.
#[derive(Clone, Default)]
pub(super) struct RefusedAt(Rc<RefCell<HashMap<String, Rc<PathPattern>>>>);

impl RefusedAt {
    pub(super) fn of(&self, pattern: String) -> Rc<PathPattern> {
        let mut patterns = self.0.borrow_mut();
        if let Some(known) = patterns.get(&pattern) {
            return Rc::clone(known);
        }
        let is_probe = PROBES.contains(&pattern.as_str());
        let new = if is_probe { PathPattern::of_probe(&pattern) } else { PathPattern::new(&pattern) };
        patterns.insert(pattern, Rc::clone(&new));
        new
    }
}

/// This request belongs to `route`.
pub(crate) fn set_route(request: &HttpRequest, route: &Rc<PathPattern>) {
    if let Some(connection) = request.conn_data::<Rc<Connection>>() {
        connection.set_route(Rc::clone(route));
    }
}

/// Measures the requests of one listener.
#[derive(Clone)]
pub(super) struct RequestMetrics(Registry);

impl RequestMetrics {
    /// Each operation of `document` has its series from the start. Otherwise `rate` would not see its first requests,
    /// because it compares with an earlier value.
    pub(super) fn register(registry: &Registry, document: &OpenApi) -> Self {
        registry.register(|| {
            describe_histogram!(
                DURATION,
                Unit::Seconds,
                "From a request's head to its response's head, by method, path pattern and status. Requests that match \
                 no resource have an empty pattern. 499: the client was gone, or the process ended, before there was a \
                 response. Without probes and scrapes."
            );
        });
        for (pattern, item) in &document.paths.paths {
            for (method, operation) in [("GET", &item.get), ("POST", &item.post)] {
                let documented = operation.iter().flat_map(|operation| operation.responses.responses.keys());
                let documented = documented.filter_map(|status| status.parse().ok());
                let statuses = documented.chain(operation.as_ref().map(|_| client_gone()));
                statuses.for_each(|status| drop(histogram(registry, pattern, method, status)));
            }
        }
        Self(registry.clone())
    }

    pub(super) fn on_this_thread(self) -> ThreadMetrics {
        ThreadMetrics { registry: self.0, unmatched: PathPattern::new("") }
    }
}

/// Those of one of its threads.
pub(super) struct ThreadMetrics {
    registry: Registry,
    unmatched: Rc<PathPattern>,
}

impl ThreadMetrics {
    /// A request without a route has matched no resource.
    pub(super) fn record(
        &self,
        route: Option<&Rc<PathPattern>>,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let route = route.unwrap_or(&self.unmatched);
        if route.is_probe {
            return;
        }
        let method = label(method);
        let mut durations = route.durations.borrow_mut();
        let known = durations.iter().find(|known| (known.0, known.1) == (method, status));
        if let Some((_, _, duration)) = known {
            return duration.record(took);
        }
        let duration = histogram(&self.registry, &route.text, method, status);
        duration.record(took);
        durations.push((method, status, duration));
    }
}

fn histogram(registry: &Registry, pattern: &str, method: &'static str, status: StatusCode) -> Histogram {
    let (pattern, status) = (pattern.to_owned(), status.as_str().to_owned());
    registry.register(|| {
        histogram!(
            DURATION,
            "http_request_method" => method,
            "http_route" => pattern,
            "http_response_status_code" => status
        )
    })
}

/// The name of a method, or `_OTHER`: clients may send any text.
pub(super) fn label(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER_METHOD)
}
