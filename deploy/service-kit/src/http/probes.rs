//! `/livez` and `/readyz`.

use actix_web::{HttpResponse, web};

use super::Heartbeats;
use crate::health::{Health, NotReady};
use crate::problem::Problem;
use crate::resource::probe;

/// Adds both probes. The process is alive while all threads of `heartbeats` run.
pub(super) fn routes(app: &mut web::ServiceConfig, health: &Health, heartbeats: &Heartbeats) {
    let heartbeats = heartbeats.clone();
    let livez = web::route().to(move || std::future::ready(livez(&heartbeats)));
    let health = health.clone();
    let readyz = web::route().to(move || std::future::ready(readyz(&health)));
    app.service(probe("/livez", livez)).service(probe("/readyz", readyz));
}

fn readyz(health: &Health) -> Result<HttpResponse, Problem> {
    match health.ready() {
        Ok(()) => Ok(HttpResponse::Ok().json(serde_json::json!({"status": "ready"}))),
        Err(NotReady(reason)) => Err(Problem::unavailable(reason)),
    }
}

fn livez(heartbeats: &Heartbeats) -> Result<HttpResponse, Problem> {
    if heartbeats.are_recent() {
        Ok(HttpResponse::Ok().json(serde_json::json!({"status": "alive"})))
    } else {
        Err(Problem::unavailable("A thread that serves the API has not run for 10 seconds."))
    }
}
