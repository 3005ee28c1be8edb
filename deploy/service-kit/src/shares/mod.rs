//! Fair shares: how much one caller may use, so that it cannot take what others need.
//!
//! A caller is the subject of a valid token. Requests without a valid token count for the address that they come from.
//! Counts are kept by each process for itself: N replicas allow N times as much.
//!
//! | File | Holds |
//! |---|---|
//! | `config` | the `RATE_LIMIT_*` variables and `TRUSTED_PROXIES` |
//! | `fair_shares` | which share a request counts for |
//! | `rate` | requests a second, for each key |
//! | `bounded_store` | the state of the rates, in bounded memory |
//! | `slots` | what each key holds at once: streams, waits, bodies, bytes |
//! | `client_address` | where a request comes from, also behind proxies |
//! | `over_share` | what a caller gets that is over its share |
//!
//! # Limits
//!
//! Keys are hashes with a secret of the process. Each rate keeps the state of 65 536 keys: what was idle long enough
//! makes room. Should all of them be busy at once, further keys share one state for each sixteenth of them.

mod bounded_store;
mod client_address;
mod config;
mod fair_shares;
mod over_share;
mod rate;
mod slots;

pub use self::config::SharesConfig;
pub use self::fair_shares::LargeBody;
pub(crate) use self::fair_shares::{Address, FairShares, Subject};
pub use self::over_share::OverShare;
pub use self::slots::Held;
