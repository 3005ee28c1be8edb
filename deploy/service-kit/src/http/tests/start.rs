use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::health::Health;
use crate::http::start_gate::opened_when_ready;

fn behind(health: &Health) -> TestServer {
    let routes: fn(&mut web::ServiceConfig) = routes;
    let api = Api { document: OpenApi::default(), routes };
    start_behind(opened_when_ready(health.clone()), Heartbeats::default(), api, None, 100)
}

fn new_process() -> Health {
    Health::with_grace(Duration::from_mins(1), CancellationToken::new())
}

const REQUEST: &str = "GET /text HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_before_the_process_is_ready_waits_for_it() {
    let health = new_process();
    let server = behind(&health);
    let mut waiting = Box::pin(talk(server.address, &[REQUEST], false));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
    assert!(early.is_err(), "answered before: {early:?}");
    health.succeeded();
    let (response, _) = waiting.await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}

#[tokio::test]
async fn a_process_that_does_not_become_ready_answers_all_the_same() {
    let server = behind(&new_process());
    let start = Instant::now();
    let (response, _) = talk(server.address, &[REQUEST], false).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(start.elapsed() >= Duration::from_millis(1_900), "{:?}", start.elapsed());
}
