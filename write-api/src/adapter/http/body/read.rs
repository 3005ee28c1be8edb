//! Reads a body within limits of size, time and memory.

use std::future::Future;
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, web};
use futures_util::{FutureExt, StreamExt};
use service_kit::auth::Grant;
use service_kit::problem::Problem;
use service_kit::shares::{Held, LargeBody};

use super::super::problems;
use crate::budget::{Budget, SMALL_MAX};

/// The largest body that is accepted.
const MAX_BYTES: usize = 1024 * 1024;
/// How long the whole body may take to arrive. The server's own limit covers only the head of the request.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(5);
/// The capacity of a growing buffer is up to this many times its length.
const MAX_GROWTH: usize = 2;
/// Some programs put this in front of UTF-8 text. A JSON parser may ignore it (RFC 8259, 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads the whole body. Its share of the budget grows with the bytes that arrive and is released on return: the write
/// that follows reserves a share of its own.
pub(super) async fn read(
    request: &HttpRequest,
    payload: impl Future<Output = Result<web::Payload, actix_web::Error>>,
) -> Result<Vec<u8>, Problem> {
    // A body that announces too large a size is not read at all.
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > MAX_BYTES) {
        return Err(too_large());
    }
    let budget = request.app_data::<Budget>().ok_or_else(Problem::internal)?;
    let payload = payload.await.map_err(|_broken| incomplete())?;
    tokio::time::timeout(ARRIVAL_LIMIT, collect(request, payload, budget))
        .await
        .map_err(|_elapsed| problems::BODY_TOO_SLOW.with(problems::BODY_TOO_SLOW.when))?
}

async fn collect(
    request: &HttpRequest,
    mut payload: web::Payload,
    budget: &Budget,
) -> Result<Vec<u8>, Problem> {
    let (mut body, mut share, mut large) = (Vec::new(), budget.share(), None::<LargeBody>);
    let mut arrival = None::<Held>;
    while let Some(chunk) = next(request, &mut payload, &mut arrival).await? {
        let chunk = chunk.map_err(|_broken| incomplete())?;
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(too_large());
        }
        let more = chunk.len() * MAX_GROWTH;
        let bytes = share.bytes() + more;
        if let Some(large) = &mut large {
            large.grow(more)?;
        } else if bytes > SMALL_MAX {
            large = Some(Grant::large_body(request, bytes, budget.max_large_of_one_caller())?);
        }
        if share.grow(more).is_err() {
            // The client can read this response while it is still sending: the server reads and discards the rest.
            return Err(problems::busy());
        }
        body.extend_from_slice(&chunk);
    }
    if body.starts_with(BYTE_ORDER_MARK) {
        body.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(body)
}

/// The next part. A body of which a part must be awaited counts as one that has not arrived, until its end.
async fn next(
    request: &HttpRequest,
    payload: &mut web::Payload,
    arrival: &mut Option<Held>,
) -> Result<Option<Result<web::Bytes, PayloadError>>, Problem> {
    if let Some(next) = payload.next().now_or_never() {
        return Ok(next);
    }
    if arrival.is_none() {
        *arrival = Some(Grant::arrival(request)?);
    }
    Ok(payload.next().await)
}

fn too_large() -> Problem {
    problems::BODY_TOO_LARGE.with(problems::BODY_TOO_LARGE.when)
}

fn incomplete() -> Problem {
    problems::MALFORMED_BODY.with("The body ended early.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_problem_documents_name_the_limits() {
        let (mebibytes, seconds) = (MAX_BYTES / (1024 * 1024), ARRIVAL_LIMIT.as_secs());
        assert!(problems::BODY_TOO_LARGE.when.contains(&format!("{mebibytes} MiB")));
        assert!(problems::BODY_TOO_SLOW.when.contains(&format!("{seconds} seconds")));
    }
}
