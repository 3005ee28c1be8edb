//! Verifies the tokens of callers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use chrono::Utc;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::AuthConfig;
use super::bearer;
use super::cache::{Cache, TokenHash};
use super::config::KeySource;
use super::forbidden::Forbidden;
use super::keys::{Keeper, Keys, Reports, Source};
use super::local::Local;
use super::metrics::{self, Metrics, Reason, register_enabled};
use super::refusal::{Lines, Refusal};
use super::token::{Rules, TokenError, Unverified};
use super::verified::{Clock, Verified};
use crate::config::ConfigError;
use crate::health::Health;
use crate::http::HttpConfig;
use crate::metrics::Registry;
use crate::shares::{Address, FairShares, OverShare};

/// How often a process without authentication says so.
const WARN_EVERY: Duration = Duration::from_mins(10);

const NO_KEYS: &str = "The keys that verify access tokens are not known.";

/// Verifies the tokens of callers.
#[derive(Clone)]
pub enum Authenticator {
    /// `AUTH=off`: nobody on this machine needs a token.
    Off(Arc<Local>),
    /// `AUTH=jwt`.
    Jwt(Arc<JwtAuthenticator>),
}

/// Verifies tokens with the keys of the issuer.
pub struct JwtAuthenticator {
    rules: Rules,
    keys: Arc<Keys>,
    cache: Arc<Cache<Verified>>,
    metrics: Metrics,
    /// The log lines of callers whose token is missing or not valid.
    lines: Lines,
    forbidden: Arc<Forbidden>,
    shares: Arc<FairShares>,
    clock: Clock,
}

impl Authenticator {
    /// The authenticator of a process, and the task that keeps its keys. It needs no answer of the issuer: the process
    /// is ready once there are keys.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `AUTH` is `off` and the API is reachable from other machines.
    pub fn start(
        config: &AuthConfig,
        http: &HttpConfig,
        health: &Health,
        registry: &Registry,
    ) -> Result<(Self, BoxFuture<'static, ()>), ConfigError> {
        let configured = config.trusted.as_ref().zip(Rules::from_config(config));
        register_enabled(registry, configured.is_some());
        let Some((trusted, rules)) = configured else {
            config.check_address(http.ip())?;
            let local = Local::new(Metrics::register(registry).counter(Reason::NotLocal));
            return Ok((Self::Off(Arc::new(local)), keep_warning().boxed()));
        };
        let source = match &trusted.keys {
            KeySource::Url(url) => Source::url(url.clone()),
            KeySource::File(path) => Source::file(path),
        };
        let shares = FairShares::new(http.shares(), registry);
        let clock = Arc::new(Utc::now);
        let (jwt, keeper) = JwtAuthenticator::new(rules, source, shares, clock, health, registry);
        Ok((Self::Jwt(Arc::new(jwt)), keeper.run().boxed()))
    }
}

impl JwtAuthenticator {
    pub(super) fn new(
        rules: Rules,
        source: Source,
        shares: FairShares,
        clock: Clock,
        health: &Health,
        registry: &Registry,
    ) -> (Self, Keeper) {
        let (age_seconds, fetch_failures) = metrics::of_keys(registry);
        let reports = Reports { has_keys: health.add_condition(NO_KEYS), age_seconds, fetch_failures };
        let cache = Arc::new(Cache::new());
        let stale = Arc::clone(&cache);
        let (keeper, keys) = Keeper::new(source, rules.algorithms().into(), reports, move || stale.clear());
        let (metrics, shares) = (Metrics::register(registry), Arc::new(shares));
        let forbidden = Arc::new(Forbidden::new(metrics.counter(Reason::InsufficientScope)));
        let jwt = Self { rules, keys, cache, metrics, lines: Lines::new(), forbidden, shares, clock };
        (jwt, keeper)
    }

    /// The caller. A request without a valid token counts for the address that it comes from. Waits only if the key of
    /// the token must be fetched.
    pub(super) async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Arc<Verified>, Refusal> {
        let token = bearer::token(headers);
        let verified = match (self.keys.generation(), token) {
            (None, _) => Err(Refusal::NoKeys),
            (_, Err(error)) => Err(error.into()),
            (Some(generation), Ok(token)) => {
                self.verify_once(generation, token, || self.shares.address(peer, headers)).await
            }
        };
        verified.map_err(|refusal| self.refuse(refusal, headers, peer, token.ok()))
    }

    /// Counts a request that needs no token.
    pub(super) fn admit_anonymous(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<(), OverShare> {
        self.shares.admit_anonymous(self.shares.address(peer, headers))
    }

    /// What the caller gets: an address that sends too much does not learn what is wrong.
    fn refuse(
        &self,
        refusal: Refusal,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        token: Option<&str>,
    ) -> Refusal {
        let is_over_share = matches!(refusal, Refusal::OverShare(_));
        let admitted = if is_over_share { Ok(()) } else { self.admit_anonymous(headers, peer) };
        let refusal = admitted.map_or_else(Refusal::from, |()| refusal);
        self.metrics.refused(refusal.reason());
        if !matches!(refusal, Refusal::OverShare(_)) {
            refusal.log(&self.lines, token);
        }
        refusal
    }

    /// A token in the cache is valid, wherever it comes from.
    async fn verify_once(
        &self,
        generation: u64,
        token: &str,
        address: impl FnOnce() -> Address,
    ) -> Result<Arc<Verified>, Refusal> {
        let hash = TokenHash::of(token);
        if let Some(verified) = self.cache.get(hash, generation, (self.clock)()) {
            return Ok(verified);
        }
        // Boxed: it is rare, and would make each request larger.
        let verified = Arc::new(Box::pin(self.verify(token, address())).await?);
        let expires = verified.caller.expires;
        self.cache.insert(hash, verified.version.generation, expires, Arc::clone(&verified));
        Ok(verified)
    }

    async fn verify(&self, token: &str, address: Address) -> Result<Verified, Refusal> {
        let unverified = Unverified::parse(token, &self.rules)?;
        let kid = unverified.kid();
        let mut version = self.keys.current();
        if version.keys.find(kid).is_none() {
            let _held = self.shares.key_wait(address)?;
            version = self.keys.fetch_for(kid).await?;
        }
        let key = version.keys.find(kid).ok_or_else(|| self.unknown_key())?;
        self.shares.may_verify(address)?;
        self.metrics.verifications.increment(1);
        let caller = unverified.verify(key, &self.rules, (self.clock)());
        let caller = caller.inspect_err(|_| self.shares.count_unverified(address))?;
        Ok(Verified {
            kid: kid.into(),
            algorithm: unverified.algorithm(),
            version,
            subject: self.shares.subject(caller.subject(), caller.customer().is_none()),
            caller,
            keys: Arc::clone(&self.keys),
            clock: Arc::clone(&self.clock),
            forbidden: Arc::clone(&self.forbidden),
            shares: Arc::clone(&self.shares),
        })
    }

    #[cfg(test)]
    pub(super) fn cache_len(&self) -> usize {
        self.cache.len()
    }

    #[cfg(test)]
    pub(super) fn shares(&self) -> &FairShares {
        &self.shares
    }

    /// The last key may have gone meanwhile.
    fn unknown_key(&self) -> Refusal {
        if self.keys.generation().is_none() { Refusal::NoKeys } else { TokenError::UnknownKey.into() }
    }
}

async fn keep_warning() {
    let mut tick = tokio::time::interval(WARN_EVERY);
    loop {
        tick.tick().await;
        tracing::warn!("AUTH=off: everybody who can reach the API on this machine may use all of it");
    }
}
