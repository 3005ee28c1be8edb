//! What `/livez` and `/readyz` answer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;
use crate::resource::readable;

/// A readiness check that has not answered by then counts as failed.
const CHECK_LIMIT: Duration = Duration::from_secs(2);

/// Why the process should get no traffic, in words fit for anyone who can reach the probe.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotReady(pub &'static str);

/// The health of the process: alive while it answers, ready while its check passes and it is not stopping.
#[derive(Clone)]
pub struct Health {
    stop: CancellationToken,
    check: Arc<dyn Fn() -> BoxFuture<'static, Result<(), NotReady>> + Send + Sync>,
}

impl Health {
    /// Ready while `check` passes and `stop` has not been cancelled.
    pub fn new<F, C>(stop: CancellationToken, check: C) -> Self
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), NotReady>> + Send + 'static,
    {
        Self { stop, check: Arc::new(move || check().boxed()) }
    }

    /// Whether the process should get traffic now.
    ///
    /// # Errors
    ///
    /// [`NotReady`] with the reason.
    pub async fn ready(&self) -> Result<(), NotReady> {
        if self.stop.is_cancelled() {
            return Err(NotReady("The process is stopping."));
        }
        tokio::time::timeout(CHECK_LIMIT, (self.check)())
            .await
            .unwrap_or(Err(NotReady("The readiness check did not answer in time.")))
    }

    pub(crate) fn routes(&self, config: &mut web::ServiceConfig) {
        let health = self.clone();
        let readyz = web::route().to(move || {
            let health = health.clone();
            async move { health.readyz().await }
        });
        config.service(readable("/livez", web::route().to(livez))).service(readable("/readyz", readyz));
    }

    async fn readyz(&self) -> Result<HttpResponse, Problem> {
        match self.ready().await {
            Ok(()) => Ok(HttpResponse::Ok().json(serde_json::json!({"status": "ready"}))),
            Err(NotReady(reason)) => Err(Problem::unavailable(reason)),
        }
    }
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"status": "alive"}))
}
