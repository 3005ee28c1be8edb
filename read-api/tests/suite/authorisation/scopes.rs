//! What each scope may read.

use anyhow::Result;
use reqwest::StatusCode;
use testkit::test_database::TestDatabase;
use testkit::tokens::Role;

use super::Guarded;
use crate::support::{insert, order};

const OK: StatusCode = StatusCode::OK;
const UNAUTHENTICATED: StatusCode = StatusCode::UNAUTHORIZED;
const REFUSED: StatusCode = StatusCode::FORBIDDEN;
const NOT_FOUND: StatusCode = StatusCode::NOT_FOUND;

/// The lists of alice and of bob, the list of all, and the orders of alice and of bob.
type Statuses = [StatusCode; 5];

/// Orders 1 of alice and 2 of bob.
async fn start() -> Result<(TestDatabase, Guarded)> {
    let database = TestDatabase::create().await?;
    insert(&database.connect().await?, &[(1, "alice", 0), (2, "bob", 1)]).await?;
    let api = Guarded::start(&database.url("orders_read_api"), &[])?;
    Ok((database, api))
}

async fn statuses(api: &Guarded, token: &str) -> Result<Statuses> {
    let mut statuses = [StatusCode::IM_A_TEAPOT; 5];
    let lists = ["/customers/alice/orders", "/customers/bob/orders", "/orders"].map(ToOwned::to_owned);
    let paths = lists.into_iter().chain([order(1), order(2)]);
    for (status, path) in statuses.iter_mut().zip(paths) {
        *status = api.get(&path, token).await?.status;
        assert_eq!(api.exchange("HEAD", &path, token, &[]).await?.status, *status, "HEAD {path}");
        if path.starts_with("/customers") && *status != OK {
            assert_eq!(api.get(&format!("{path}/stream"), token).await?.status, *status, "stream of {path}");
        }
    }
    Ok(statuses)
}

#[tokio::test]
async fn each_scope_reads_what_it_is_for() -> Result<()> {
    let (_database, api) = start().await?;
    let own = ["orders:read"];
    let any = ["orders:read:any"];
    let both = ["orders:read", "orders:read:any"];
    let everything =
        ["orders:place", "orders:pay", "orders:fulfil", "orders:cancel:any", "orders:cancel", "events:read"];
    let alice = Some("alice");
    let own_only = [OK, REFUSED, REFUSED, OK, NOT_FOUND];
    for (scopes, customer, expected) in [
        (&own[..], alice, own_only),
        // A customer's token gets no right over all customers, whatever its scopes say.
        (&both, alice, own_only),
        (&any, alice, [REFUSED; 5]),
        (&everything, alice, [REFUSED; 5]),
        (&[], alice, [REFUSED; 5]),
        // Without a customer, the scope of customers gives nothing.
        (&own, None, [REFUSED; 5]),
        (&any, None, [OK; 5]),
        (&both, None, [OK; 5]),
        (&everything, None, [REFUSED; 5]),
        (&[], None, [REFUSED; 5]),
    ] {
        let token = api.token(scopes, customer)?;
        assert_eq!(statuses(&api, &token).await?, expected, "{scopes:?} {customer:?}");
    }
    assert_eq!(statuses(&api, "none").await?, [UNAUTHENTICATED; 5]);
    Ok(())
}

#[tokio::test]
async fn a_refusal_names_the_scope_that_would_do() -> Result<()> {
    let (_database, api) = start().await?;
    for (role, path, scopes) in [
        (Role::Customer("alice"), "/orders", "orders:read:any"),
        (Role::Customer("alice"), "/customers/bob/orders", "orders:read:any"),
        (Role::Customer("alice"), "/customers/bob/orders/stream", "orders:read:any"),
        (Role::Checkout, "/orders", "orders:read:any"),
        (Role::Checkout, "/customers/bob/orders", "orders:read:any orders:read"),
    ] {
        let refusal = api.get(path, &api.token_of(role)?).await?;
        assert_eq!(refusal.status, REFUSED, "{role:?} {path}");
        let challenge = format!(r#"Bearer error="insufficient_scope", scope="{scopes}""#);
        assert_eq!(refusal.header("www-authenticate"), Some(challenge.as_str()), "{role:?} {path}");
        assert!(refusal.text.contains("/problems/insufficient-scope"), "{}", refusal.text);
    }
    Ok(())
}

#[tokio::test]
async fn pages_and_documents_without_data_are_open() -> Result<()> {
    let (_database, api) = start().await?;
    for path in ["/", "/dashboard.js", "/openapi.json"] {
        assert_eq!(api.replica.get(path).await?.status(), OK, "{path}");
    }
    assert_eq!(api.replica.get("/orders").await?.status(), UNAUTHENTICATED);
    Ok(())
}
