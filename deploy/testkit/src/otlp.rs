//! A collector of traces: it receives spans by OTLP (`http/protobuf`), or fails to.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1 as proto;
use prost::Message;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::certificates::Identity;
use crate::wait::{self, TimedOut};

const LIMIT: Duration = Duration::from_secs(30);

/// What the collector does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It keeps the spans.
    Accept,
    /// It reads them and keeps nothing.
    Discard,
    /// It responds with this status.
    Refuse(u16),
    /// It never responds.
    Hang,
}

/// A span as it was received. Ids are hexadecimal.
#[derive(Debug, Clone)]
pub struct Span {
    pub service: String,
    pub trace: String,
    pub id: String,
    /// Empty if it begins the trace.
    pub parent: String,
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    /// The ids of the spans that it names.
    pub links: Vec<String>,
    pub is_error: bool,
    pub took: Duration,
}

#[derive(Debug, Default)]
struct Received {
    spans: Vec<Span>,
    heads: Vec<String>,
}

/// A running collector. It ends when dropped.
#[derive(Debug)]
pub struct Collector {
    url: String,
    received: Arc<Mutex<Received>>,
    _task: AbortOnDropHandle<()>,
}

impl Collector {
    pub async fn start(mode: Mode) -> io::Result<Self> {
        Self::serve(mode, None).await
    }

    /// At `https://localhost`, with this certificate.
    pub async fn start_with_tls(identity: &Identity) -> io::Result<Self> {
        let read = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{error:?}"));
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).map_err(read)?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(read)?;
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate], key).map_err(io::Error::other)?;
        Self::serve(Mode::Accept, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(mode: Mode, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let url = match tls {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        };
        let received = Arc::<Mutex<Received>>::default();
        let kept = Arc::clone(&received);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, tls) = (Arc::clone(&kept), tls.clone());
                connections.spawn(async move {
                    match tls {
                        Some(tls) => respond(tls.accept(stream).await.ok()?, mode, &kept).await,
                        None => respond(stream, mode, &kept).await,
                    }
                });
            }
        });
        Ok(Self { url, received, _task: AbortOnDropHandle::new(task) })
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).spans.clone()
    }

    /// The heads of all requests so far.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).heads.clone()
    }

    /// The spans of the one trace that `is_it` chooses a span of, once it has spans with all of these names.
    ///
    /// # Errors
    ///
    /// [`TimedOut`] with the names that were seen, after 30 s.
    pub async fn trace(&self, is_it: impl Fn(&Span) -> bool, names: &[&str]) -> Result<Vec<Span>, TimedOut> {
        let what = format!("a trace with {names:?}");
        wait::until(&what, LIMIT, async || {
            let all = self.spans();
            let traces: HashSet<_> =
                all.iter().filter(|span| is_it(span)).map(|span| span.trace.clone()).collect();
            let trace: Vec<_> = all.into_iter().filter(|span| traces.contains(&span.trace)).collect();
            let has_all = names.iter().all(|name| trace.iter().any(|span| span.name == *name));
            if traces.len() == 1 && has_all {
                return Ok(trace);
            }
            Err((traces.len(), trace.into_iter().map(|span| span.name).collect::<Vec<_>>()))
        })
        .await
    }
}

async fn respond(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mode: Mode,
    received: &Mutex<Received>,
) -> Option<()> {
    let (head, body) = read(&mut stream).await?;
    if mode == Mode::Hang {
        return std::future::pending().await;
    }
    let status = match mode {
        Mode::Refuse(status) => status,
        _ => 200,
    };
    if mode == Mode::Accept {
        let request = ExportTraceServiceRequest::decode(body.as_slice()).ok()?;
        let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
        received.spans.extend(spans(request));
        received.heads.push(head);
    }
    let response = format!("HTTP/1.1 {status} Done\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(response.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

/// The head and the body of a request; none if the connection ends.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length?.parse().ok()?;
        if let Some(body) = bytes.get(end + 4..end + 4 + length) {
            return Some((head, body.to_vec()));
        }
    }
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut all = Vec::new();
    for of_resource in request.resource_spans {
        let resource =
            of_resource.resource.map(|resource| attributes(resource.attributes)).unwrap_or_default();
        let service = resource.get("service.name").cloned().unwrap_or_default();
        for of_scope in of_resource.scope_spans {
            all.extend(of_scope.spans.into_iter().map(|received| span(&service, received)));
        }
    }
    all
}

fn span(service: &str, span: proto::Span) -> Span {
    let took = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    let error = i32::from(proto::status::StatusCode::Error);
    Span {
        service: service.to_owned(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        attributes: attributes(span.attributes),
        links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
        is_error: span.status.is_some_and(|status| status.code == error),
        took: Duration::from_nanos(took),
    }
}

fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<Value>| match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|pair| (pair.key, text(pair.value.and_then(|value| value.value)))).collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _cannot_fail = write!(text, "{byte:02x}");
        text
    })
}
