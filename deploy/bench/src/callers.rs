//! Callers with access tokens.

use anyhow::Result;
use tempfile::TempDir;
use testkit::tokens::TokenIssuer;

/// Enough for every load.
const SCOPES: [&str; 2] = ["orders:place", "orders:read:any"];

/// An issuer of access tokens, which exists until this is dropped.
pub(crate) struct Issuer {
    issuer: TokenIssuer,
    /// Has the key set.
    _dir: TempDir,
}

impl Issuer {
    pub(crate) fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        Ok(Self { issuer: TokenIssuer::new(dir.path())?, _dir: dir })
    }

    /// With these variables, a service demands the tokens, and each caller has its share.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        self.issuer.variables()
    }

    /// The same with shares that nobody uses up.
    pub(crate) fn variables_without_shares(&self) -> Vec<(String, String)> {
        self.issuer.variables_without_shares()
    }

    /// A token for each of that many callers, valid for an hour.
    pub(crate) fn tokens(&self, callers: u32) -> Result<Vec<String>> {
        let token = |number| Ok(self.issuer.token(&format!("caller-{number}"), &SCOPES, None)?);
        (1..=callers).map(token).collect()
    }

    /// A token of this customer, who may read its own orders. Its share is that of a customer.
    pub(crate) fn customer_token(&self, number: u32) -> Result<String> {
        let customer = format!("customer-{number}");
        Ok(self.issuer.token(&customer, &["orders:read"], Some(&customer))?)
    }
}
