//! One line in the log for each request: what was requested by whom, and how it ended.

use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use actix_http::Request;
use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use actix_web::http::{Method, StatusCode};
use serde::{Deserialize, Serialize, Serializer};
use tracing::Level;

use super::connection::Connection;
use super::request_metrics::{self, PathPattern, ThreadMetrics};
use crate::traces::TraceIds;
use crate::{auth, log_output};

const TARGET: &str = "access";
const MESSAGE: &str = "request";

/// `ACCESS_LOG`: which requests have a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AccessLog {
    /// None.
    Off,
    /// Those with a status of 400 and above, and so those without a response.
    Errors,
    #[default]
    All,
}

impl AccessLog {
    fn has_a_line(self, status: StatusCode) -> bool {
        match self {
            Self::Off => false,
            Self::Errors => status.is_client_error() || status.is_server_error(),
            Self::All => true,
        }
    }
}

/// The status of a request without a response: its client was gone, or the process ended. nginx has the same number.
pub(super) fn client_gone() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

/// The caller of this request is `subject`.
pub(crate) fn set_subject(request: &HttpRequest, subject: &Arc<str>) {
    if let Some(connection) = request.conn_data::<Rc<Connection>>() {
        connection.set_subject(Arc::clone(subject));
    }
}

/// This request is traced.
pub(crate) fn set_trace(request: &HttpRequest, trace: TraceIds) {
    if let Some(connection) = request.conn_data::<Rc<Connection>>() {
        connection.set_trace(trace);
    }
}

/// A request. It is measured when it has a response. Its line is written when this value is dropped: after the last
/// part of the response. Both also happen if there is none.
pub(super) struct Entry {
    log: AccessLog,
    metrics: Rc<ThreadMetrics>,
    connection: Option<Rc<Connection>>,
    began: Instant,
    method: Method,
    request_id: HeaderValue,
    route: Option<Rc<PathPattern>>,
    subject: Option<Arc<str>>,
    trace: Option<TraceIds>,
    /// `None` until there is a response.
    status: Option<StatusCode>,
    /// Of the response's body.
    bytes: u64,
}

impl Entry {
    pub(super) fn begin(
        (log, metrics): (AccessLog, Rc<ThreadMetrics>),
        request: &Request,
        request_id: HeaderValue,
    ) -> Self {
        let (method, began) = (request.method().clone(), Instant::now());
        Self {
            log,
            metrics,
            connection: request.conn_data::<Rc<Connection>>().cloned(),
            began,
            method,
            request_id,
            route: None,
            subject: None,
            trace: None,
            status: None,
            bytes: 0,
        }
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// The request has a response.
    pub(super) fn respond(&mut self, status: StatusCode) {
        self.status = Some(status);
        if let Some(connection) = &self.connection {
            (self.route, self.subject) = (connection.take_route(), connection.take_subject());
            self.trace = connection.take_trace();
        }
        self.metrics.record(self.route.as_ref(), &self.method, status, self.began.elapsed());
    }

    /// The request is dropped before it has a response.
    fn abandon(&mut self) -> StatusCode {
        // A panic drops it too.
        let status = if thread::panicking() { StatusCode::INTERNAL_SERVER_ERROR } else { client_gone() };
        self.respond(status);
        status
    }

    /// Another part of the response's body.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes.try_into().unwrap_or(u64::MAX));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let status = self.status.unwrap_or_else(|| self.abandon());
        let is_probe = self.route.as_ref().is_some_and(|route| route.is_probe());
        let level = if is_probe { Level::DEBUG } else { Level::INFO };
        let has_a_line = if is_probe {
            tracing::enabled!(target: TARGET, Level::DEBUG)
        } else {
            self.log.has_a_line(status)
        };
        if !has_a_line {
            return;
        }
        let subject = self.subject.as_deref().map(auth::escaped);
        let line = Line {
            method: request_metrics::label(&self.method),
            route: self.route.as_ref().map(|route| route.as_str()),
            status: status.as_u16(),
            duration: self.began.elapsed(),
            bytes: self.bytes,
            subject: subject.as_deref(),
            request_id: self.request_id.to_str().unwrap_or_default(),
            trace_id: self.trace.map(|trace| trace.trace_id.to_string()),
            span_id: self.trace.map(|trace| trace.span_id.to_string()),
        };
        log_output::record_access(level, TARGET, MESSAGE, &line);
    }
}

/// The names are those of OpenTelemetry's conventions where it has one.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "http.request.method")]
    method: &'a str,
    /// Missing if no resource has this path.
    #[serde(rename = "http.route", skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(rename = "http.response.status_code")]
    status: u16,
    /// To the last part of the response, in seconds.
    #[serde(rename = "http.server.request.duration", serialize_with = "seconds")]
    duration: Duration,
    /// What the server took of the body: a client that hung up got less.
    #[serde(rename = "http.response.body.size")]
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(rename = "request.id")]
    request_id: &'a str,
    /// Missing if the request is not traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
}

/// With microseconds: more digits would only be longer.
fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(Duration::from_micros(micros(*duration)).as_secs_f64())
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}
