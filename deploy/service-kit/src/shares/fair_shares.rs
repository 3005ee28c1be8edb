//! Which share a request counts for.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use governor::clock::MonotonicClock;

use super::client_address::{TrustedProxies, network};
use super::config::{ShareConfig, SharesConfig};
use super::over_share::{OverShare, Refused, Share};
use super::rate::Rate;
use super::slots::{Held, Slots};
use crate::metrics::Registry;
use crate::overload::OncePerSecond;

/// How many large bodies of one customer's subject may arrive at once. A service sends for many customers, so for it
/// only the bytes count.
const LARGE_BODIES: usize = 4;

/// The shares of the callers of one process.
pub(crate) struct FairShares {
    customers: Caller,
    services: Caller,
    /// Large bodies of customers.
    bodies: Slots,
    /// The bytes of all large bodies of a subject.
    body_bytes: Slots,
    /// Bodies of a subject that have not arrived yet, and how many there may be.
    arrivals: Slots,
    arrivals_max: usize,
    /// Requests without a valid token.
    addresses: Rate,
    /// Tokens that did not pass the check of their signature and claims.
    signatures: Rate,
    /// Tokens that wait for their key.
    key_waits: Slots,
    /// Most of them from one address.
    key_waits_max: usize,
    trusted_proxies: TrustedProxies,
    /// Its keys are secret: nobody can choose subjects or addresses that count as another one.
    hasher: RandomState,
    refused: Refused,
    line: OncePerSecond,
}

/// The shares of one kind of caller.
struct Caller {
    rate: Rate,
    streams: Slots,
    waits: Slots,
    config: ShareConfig,
}

/// A large body that counts for its caller until this is dropped.
#[must_use = "dropping it releases what is held"]
pub struct LargeBody(Option<CountedBody>);

struct CountedBody {
    shares: Arc<FairShares>,
    _body: Held,
    bytes: Held,
    max_bytes: usize,
}

/// The subject of a valid token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject {
    key: u64,
    is_service: bool,
}

/// An address from which requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address(u64);

impl FairShares {
    pub(crate) fn new(config: &SharesConfig, registry: &Registry) -> Self {
        let rate = || Rate::new(config.customer.per_s, config.customer.burst, MonotonicClock);
        Self {
            customers: Caller::new(config.customer),
            services: Caller::new(config.service),
            bodies: Slots::default(),
            body_bytes: Slots::default(),
            arrivals: Slots::default(),
            arrivals_max: config.arrivals,
            addresses: rate(),
            signatures: rate(),
            key_waits: Slots::default(),
            key_waits_max: count(config.customer.burst.get()),
            trusted_proxies: config.trusted_proxies.clone(),
            hasher: RandomState::new(),
            refused: Refused::register(registry),
            line: OncePerSecond::new(),
        }
    }

    /// A service is a subject whose token belongs to no customer.
    pub(crate) fn subject(&self, subject: &str, is_service: bool) -> Subject {
        Subject { key: self.hasher.hash_one(subject), is_service }
    }

    /// Where a request comes from.
    pub(crate) fn address(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Address {
        let client = peer.map(|peer| network(self.trusted_proxies.client(peer, headers)));
        Address(self.hasher.hash_one(client))
    }

    /// Counts a request with a valid token.
    pub(crate) fn admit(&self, subject: Subject) -> Result<(), OverShare> {
        self.check(self.caller(subject).rate.admits(subject.key), subject.share())
    }

    /// Whether a request with a valid token would be admitted. Counts only a refusal.
    pub(crate) fn may_admit(&self, subject: Subject) -> Result<(), OverShare> {
        self.check(self.caller(subject).rate.would_admit(subject.key), subject.share())
    }

    /// Counts a request without a valid token.
    pub(crate) fn admit_anonymous(&self, Address(key): Address) -> Result<(), OverShare> {
        self.check(self.addresses.admits(key), Share::Address)
    }

    /// Whether the signature of a token from there may be checked. Those that pass do not count.
    pub(crate) fn may_verify(&self, Address(key): Address) -> Result<(), OverShare> {
        self.check(self.signatures.would_admit(key), Share::Signatures)
    }

    /// Counts a token that did not pass its check.
    pub(crate) fn count_unverified(&self, Address(key): Address) {
        self.signatures.admits(key);
    }

    /// A token from there waits for its key, which is not known yet.
    pub(crate) fn key_wait(&self, Address(key): Address) -> Result<Held, OverShare> {
        self.held(self.key_waits.hold(key, 1, self.key_waits_max), Share::Keys)
    }

    /// A stream of the subject.
    pub(crate) fn stream(&self, subject: Subject) -> Result<Held, OverShare> {
        let caller = self.caller(subject);
        self.held(caller.streams.hold(subject.key, 1, count(caller.config.streams)), Share::Streams)
    }

    /// A request of the subject that waits.
    pub(crate) fn wait(&self, subject: Subject) -> Result<Held, OverShare> {
        let caller = self.caller(subject);
        self.held(caller.waits.hold(subject.key, 1, count(caller.config.waits)), Share::Waits)
    }

    /// A body of the subject has not arrived yet. Its request is in flight: all of one subject leave room for others.
    pub(crate) fn arrival(&self, subject: Subject) -> Result<Held, OverShare> {
        self.held(self.arrivals.hold(subject.key, 1, self.arrivals_max), Share::Arrivals)
    }

    /// A large body of the subject arrives, and takes `bytes` of the `max_bytes` that all of its large bodies may take.
    pub(crate) fn large_body(
        self: &Arc<Self>,
        subject: Subject,
        bytes: usize,
        max_bytes: usize,
    ) -> Result<LargeBody, OverShare> {
        let body = if subject.is_service {
            Held::uncounted()
        } else {
            self.held(self.bodies.hold(subject.key, 1, LARGE_BODIES), Share::Bodies)?
        };
        let bytes = self.held(self.body_bytes.hold(subject.key, bytes, max_bytes), Share::Bodies)?;
        Ok(LargeBody(Some(CountedBody { shares: Arc::clone(self), _body: body, bytes, max_bytes })))
    }

    #[cfg(test)]
    pub(crate) fn states(&self) -> usize {
        self.addresses.keys() + self.signatures.keys()
    }

    fn caller(&self, subject: Subject) -> &Caller {
        if subject.is_service { &self.services } else { &self.customers }
    }

    fn held(&self, held: Option<Held>, share: Share) -> Result<Held, OverShare> {
        held.ok_or_else(|| self.refuse(share))
    }

    fn check(&self, is_admitted: bool, share: Share) -> Result<(), OverShare> {
        if is_admitted { Ok(()) } else { Err(self.refuse(share)) }
    }

    /// Counts a refusal, and logs it if a line is due.
    fn refuse(&self, share: Share) -> OverShare {
        self.refused.count(share);
        if let Some(times) = self.line.count() {
            tracing::info!(times, reason = share.label(), "a caller is over its share");
        }
        OverShare(share)
    }
}

impl Subject {
    fn share(self) -> Share {
        if self.is_service { Share::Service } else { Share::Subject }
    }
}

impl LargeBody {
    /// Counts for nobody.
    pub(crate) const fn uncounted() -> Self {
        Self(None)
    }

    /// The body takes `more` bytes.
    ///
    /// # Errors
    ///
    /// [`OverShare`] when the large bodies of its subject would then take too many.
    pub fn grow(&mut self, more: usize) -> Result<(), OverShare> {
        let Self(Some(CountedBody { shares, bytes, max_bytes, .. })) = self else { return Ok(()) };
        shares.check(bytes.grow(more, *max_bytes), Share::Bodies)
    }
}

/// Saturates: more than there can be is no limit.
fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Caller {
    fn new(config: ShareConfig) -> Self {
        let rate = Rate::new(config.per_s, config.burst, MonotonicClock);
        Self { rate, streams: Slots::default(), waits: Slots::default(), config }
    }
}
