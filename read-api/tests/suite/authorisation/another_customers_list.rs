//! The list and the stream of another customer are refused, whether or not that customer exists.

use anyhow::Result;
use reqwest::StatusCode;
use testkit::test_database::TestDatabase;
use testkit::tokens::Role;

use super::{Guarded, Logged};
use crate::support::{insert, order};

/// Paths of the customer in place of `{}`.
const RESOURCES: [&str; 9] = [
    "/customers/{}/orders",
    "/customers/{}/orders?status=paid&limit=3",
    "/customers/{}/orders?limit=0",
    "/customers/{}/orders?limit=0&sort=up&cursor=none",
    "/customers/{}/orders?%FF=%",
    "/customers/{}/orders/stream",
    "/customers/{}/orders/stream?last_event_id=1-1-1",
    "/customers/{}/orders/stream?last_event_id=1&last_event_id=1",
    "/customers/{}/orders/stream?from=1",
];

#[tokio::test]
async fn another_customers_list_and_stream_are_403_whatever_is_asked_and_nothing_is_read() -> Result<()> {
    let mut logged = Logged::start().await?;
    let token = logged.api.token_of(Role::Customer("alice"))?;
    // Alice's own order, bob's, and none.
    let after = [1, 2, 3].map(|number| {
        let order = order(number).trim_start_matches("/orders/").to_owned();
        format!("/customers/{{}}/orders?after={order}:1")
    });
    let resources = RESOURCES.iter().map(|path| (*path).to_owned()).chain(after);
    logged.statements()?;
    let mut refusals = Vec::new();
    for path in resources {
        for customer in ["bob", "nobody", "Alice", "alice%20", "%2561lice", "%00", "%FF", &"x".repeat(129)] {
            let path = path.replace("{}", customer);
            for (method, headers) in
                [("GET", &[][..]), ("HEAD", &[]), ("GET", &["prefer: wait=1", "last-event-id: 1-1-1"])]
            {
                let refusal = logged.api.exchange(method, &path, &token, headers).await?;
                assert_eq!(refusal.status, StatusCode::FORBIDDEN, "{method} {path}");
                refusals.push((method, refusal));
            }
        }
    }
    assert_eq!(logged.statements()?, [""; 0]);
    let metrics = logged.api.replica.probe("/metrics").await?.text().await?;
    let counted = format!("orders_auth_refused_total{{reason=\"insufficient_scope\"}} {}\n", refusals.len());
    assert!(metrics.contains(&counted), "{counted} is not in {metrics}");
    for method in ["GET", "HEAD"] {
        let mut texts: Vec<_> =
            refusals.iter().filter(|(of, _)| *of == method).map(|(_, refusal)| refusal).collect();
        texts.dedup();
        assert_eq!(texts.len(), 1, "{texts:#?}");
        let challenge = r#"Bearer error="insufficient_scope", scope="orders:read:any""#;
        assert_eq!(texts[0].header("www-authenticate"), Some(challenge));
    }
    Ok(())
}

/// Whether the customer of a token with this claim may read the list in this path.
async fn status(api: &Guarded, claim: &str, segment: &str) -> Result<StatusCode> {
    let token = api.token_of(Role::Customer(claim))?;
    Ok(api.get(&format!("/customers/{segment}/orders"), &token).await?.status)
}

#[tokio::test]
async fn the_path_is_decoded_once_and_compared_exactly() -> Result<()> {
    let database = TestDatabase::create().await?;
    insert(&database.connect().await?, &[(1, "alice", 0), (2, "a/b", 0), (3, "a%2Fb", 0)]).await?;
    let api = Guarded::start(&database.url("orders_read_api"), &[])?;
    for (claim, segment, expected) in [
        ("alice", "alice", StatusCode::OK),
        ("alice", "%61lic%65", StatusCode::OK),
        ("alice", "%2561lice", StatusCode::FORBIDDEN),
        ("%61lice", "%2561lice", StatusCode::OK),
        ("%61lice", "alice", StatusCode::FORBIDDEN),
        ("%61lice", "%61lice", StatusCode::FORBIDDEN),
        ("alice", "ALICE", StatusCode::FORBIDDEN),
        ("alice", "alice%20", StatusCode::FORBIDDEN),
        ("alice", "+alice", StatusCode::FORBIDDEN),
        ("+alice", "+alice", StatusCode::OK),
        ("a b", "a+b", StatusCode::FORBIDDEN),
        ("a b", "a%20b", StatusCode::OK),
        ("a/b", "a%2Fb", StatusCode::OK),
        ("a/b", "a%2fb", StatusCode::OK),
        ("a/b", "a%252Fb", StatusCode::FORBIDDEN),
        ("a%2Fb", "a%252Fb", StatusCode::OK),
        ("a%2Fb", "a%2Fb", StatusCode::FORBIDDEN),
        ("é", "%C3%A9", StatusCode::OK),
        // The same letter of two characters.
        ("é", "e%CC%81", StatusCode::FORBIDDEN),
        // Bytes that are not UTF-8 are replaced by this character.
        ("\u{FFFD}", "%FF", StatusCode::BAD_REQUEST),
        ("\u{FFFD}", "%EF%BF%BD", StatusCode::OK),
    ] {
        assert_eq!(status(&api, claim, segment).await?, expected, "{claim} {segment}");
    }
    Ok(())
}
