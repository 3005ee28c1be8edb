//! The order of another customer is like one that does not exist.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::StatusCode;
use testkit::tokens::Role;

use super::{Guarded, Logged, Received};
use crate::support::order;

const ALICES: i32 = 1;
const BOBS: i32 = 2;
const MISSING: i32 = 3;

/// A request for an order: what follows its id, and the headers.
type Request = (&'static str, &'static [&'static str]);

/// Requests for one order, and the status for the caller's own order.
const REQUESTS: [(Request, StatusCode); 21] = [
    (("", &[]), StatusCode::OK),
    (("", &["if-none-match: \"1\""]), StatusCode::NOT_MODIFIED),
    (("", &["if-none-match: W/\"1\", \"7\""]), StatusCode::NOT_MODIFIED),
    (("", &["if-none-match: *"]), StatusCode::NOT_MODIFIED),
    (("", &["if-none-match: \"7\""]), StatusCode::OK),
    (("", &["if-none-match: neither"]), StatusCode::OK),
    (("", &["prefer: wait=1"]), StatusCode::OK),
    (("?min_version=1", &[]), StatusCode::OK),
    (("?min_version=1", &["if-none-match: *"]), StatusCode::NOT_MODIFIED),
    (("?min_version=1", &["prefer: wait=0"]), StatusCode::OK),
    (("?min_version=1", &["prefer: wait=1"]), StatusCode::OK),
    (("?min_version=1", &["prefer: wait=1", "if-none-match: *"]), StatusCode::NOT_MODIFIED),
    (("?min_version=2", &[]), StatusCode::SERVICE_UNAVAILABLE),
    (("?min_version=2", &["prefer: wait=0"]), StatusCode::SERVICE_UNAVAILABLE),
    (("?min_version=2", &["prefer: wait=1"]), StatusCode::SERVICE_UNAVAILABLE),
    (("?min_version=2147483647", &[]), StatusCode::SERVICE_UNAVAILABLE),
    (("?min_version=0", &[]), StatusCode::BAD_REQUEST),
    (("?min_version=1&min_version=1", &[]), StatusCode::BAD_REQUEST),
    (("?version=1", &[]), StatusCode::BAD_REQUEST),
    (("x", &[]), StatusCode::BAD_REQUEST),
    (("/", &[]), StatusCode::NOT_FOUND),
];

/// The response, the statements, and whether it waited.
async fn run(logged: &mut Logged, method: &str, path: &str, headers: &[&str]) -> Result<Seen> {
    let token = logged.api.token_of(Role::Customer("alice"))?;
    logged.statements()?;
    let start = Instant::now();
    let response = logged.api.exchange(method, path, &token, headers).await?;
    let has_waited = start.elapsed() >= Duration::from_secs(1);
    Ok(Seen { response, has_waited, statements: logged.statements()? })
}

#[derive(Debug, PartialEq)]
struct Seen {
    response: Received,
    has_waited: bool,
    statements: Vec<String>,
}

#[tokio::test]
async fn another_customers_order_is_like_one_that_does_not_exist() -> Result<()> {
    let mut logged = Logged::start().await?;
    for method in ["GET", "HEAD"] {
        for ((rest, headers), own) in REQUESTS {
            let shown = format!("{method} {rest} {headers:?}");
            let path = |number| format!("{}{rest}", order(number));
            let seen = run(&mut logged, method, &path(ALICES), headers).await?;
            assert_eq!(seen.response.status, own, "{shown}");
            let others = run(&mut logged, method, &path(BOBS), headers).await?;
            let missing = run(&mut logged, method, &path(MISSING), headers).await?;
            assert_eq!(others, missing, "{shown}");
            let is_read = !own.is_client_error();
            assert_eq!(!others.statements.is_empty(), is_read, "{shown}");
            let status = match own {
                _ if !is_read => own,
                _ if rest.is_empty() => StatusCode::NOT_FOUND,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            assert_eq!(others.response.status, status, "{shown}");
            let waits = !rest.is_empty() && headers.contains(&"prefer: wait=1");
            assert_eq!(others.has_waited, waits, "{shown}");
            assert_eq!(others.statements.contains(&"-- reached".to_owned()), waits, "{shown}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_list_after_another_customers_order_is_like_one_after_a_missing_order() -> Result<()> {
    let mut logged = Logged::start().await?;
    for list in ["?", "?status=placed&", "?limit=1&placed_from=2026-01-01T00:00:00Z&"] {
        for (method, version, headers) in [
            ("GET", 1, &[][..]),
            ("HEAD", 1, &[]),
            ("GET", 9, &[]),
            ("GET", 1, &["prefer: wait=0"]),
            ("GET", 1, &["prefer: wait=1"]),
        ] {
            let shown = format!("{method} {list} {version} {headers:?}");
            let path = |number| {
                let order = order(number).trim_start_matches("/orders/").to_owned();
                format!("/customers/alice/orders{list}after={order}:{version}")
            };
            if version == 1 {
                let seen = run(&mut logged, method, &path(ALICES), headers).await?;
                assert_eq!(seen.response.status, StatusCode::OK, "{shown}");
            }
            let others = run(&mut logged, method, &path(BOBS), headers).await?;
            let missing = run(&mut logged, method, &path(MISSING), headers).await?;
            assert_eq!(others, missing, "{shown}");
            assert_eq!(others.response.status, StatusCode::SERVICE_UNAVAILABLE, "{shown}");
            assert_eq!(others.has_waited, headers.contains(&"prefer: wait=1"), "{shown}");
            assert_eq!(others.statements.first().map(String::as_str), Some("-- has_version"), "{shown}");
        }
    }
    Ok(())
}

/// The median response times to requests for the orders with these numbers, in µs.
async fn medians(api: &Guarded, token: &str, numbers: [i32; 2]) -> Result<[u128; 2]> {
    let client = reqwest::Client::new();
    let mut times = [Vec::new(), Vec::new()];
    // By turns, so that both meet the same load.
    for _ in 0..300 {
        for (times, number) in times.iter_mut().zip(numbers) {
            let request = client.get(format!("{}{}", api.replica.url, order(number))).bearer_auth(token);
            let start = Instant::now();
            let response = request.send().await?;
            assert_eq!(response.status(), StatusCode::NOT_FOUND);
            response.bytes().await?;
            times.push(start.elapsed().as_micros());
        }
    }
    Ok(times.map(|mut times| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }))
}

/// The times are printed and not compared: they depend on what else the machine does.
#[tokio::test]
async fn the_median_response_times_are_reported() -> Result<()> {
    let logged = Logged::start().await?;
    let token = logged.api.token_of(Role::Customer("alice"))?;
    let [others, missing] = medians(&logged.api, &token, [BOBS, MISSING]).await?;
    writeln!(
        std::io::stderr(),
        "median of 300 responses: another customer's order {others} µs, a missing order {missing} µs"
    )?;
    Ok(())
}
