//! A shop and its customers: they reach the system through `HAProxy` only.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use uuid::Uuid;

use super::stack::Stack;

/// A client of the whole system: its token has every scope.
#[derive(Clone)]
pub(crate) struct Shop {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    token: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Shop {
    pub(crate) fn new(stack: &Stack) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(stack.secrets.of("ca").join("ca.pem"))?)?;
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            url: format!("https://localhost:{}", stack.https_port),
            token: stack.secrets.token()?,
        })
    }

    /// The response, whose body is read by the caller.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<http::Response<Incoming>> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let request = request.header("content-type", "application/json");
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        Ok(self.client.request(request.body(Full::new(body))?).await?)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let asked = async {
            let response = self.open(method, path, body).await?;
            let (head, body) = response.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let body = serde_json::from_slice(&bytes).unwrap_or_default();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(Duration::from_mins(1), asked).await.context("no response")?
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.ask(Method::GET, path, None).await
    }

    /// Places an order under this id.
    pub(crate) async fn place(&self, order: Uuid, customer: &str) -> Result<Answer> {
        let items = json!([{"sku": "TEA", "quantity": 2, "price_cents": 450}]);
        let body = json!({"order_id": order, "customer_id": customer, "items": items});
        self.ask(Method::POST, "/orders", Some(&body)).await
    }

    pub(crate) async fn step(&self, order: Uuid, step: &str, body: &Value) -> Result<Answer> {
        self.ask(Method::POST, &format!("/orders/{order}/{step}"), Some(body)).await
    }
}

impl Answer {
    pub(crate) fn expect(self, status: StatusCode) -> Result<Self> {
        ensure!(self.status == status, "{} instead of {status}: {}", self.status, self.body);
        Ok(self)
    }
}
