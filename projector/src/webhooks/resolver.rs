//! Resolves names to addresses that may be connected to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::address::AddressPolicy;

/// A name or URL leads only to addresses that this policy refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct AddressRefused(pub(super) AddressPolicy);

impl AddressRefused {
    const fn text(self) -> &'static str {
        match self.0 {
            AddressPolicy::Public => {
                "the address is not public; WEBHOOK_ALLOW_PRIVATE=true allows private addresses and loopback"
            }
            AddressPolicy::PublicOrPrivate => "the address is link-local, multicast or reserved",
            AddressPolicy::Private => "the address is not private, and the URL is not https",
        }
    }
}

/// Finds the addresses of a name.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of `name`.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// Asks the system.
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let lookup = async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        };
        lookup.boxed()
    }
}

/// Resolves the name for each new connection and removes addresses that the policy refuses. A name may lead to another
/// address each time, so that a check at another moment would prove nothing.
#[derive(Clone)]
pub(super) struct CheckedResolver {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) policy: AddressPolicy,
}

impl Service<Name> for CheckedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (found, policy) = (self.lookup.lookup(name.as_str().to_owned()), self.policy);
        let checked = async move {
            let found = found.await?;
            let allowed: Vec<_> = found
                .into_iter()
                .filter(|address| policy.allows(*address))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if allowed.is_empty() {
                Err(io::Error::other(AddressRefused(policy)))
            } else {
                Ok(allowed.into_iter())
            }
        };
        checked.boxed()
    }
}
