//! Who may call, and what each caller may do.
//!
//! Every resource names its [`Access`]. The guard of the resource checks the caller's token before a byte of the body
//! is read, and gives the handler a [`Grant`].
//!
//! | File | Holds |
//! |---|---|
//! | `access` | what a resource needs |
//! | `caller` | the claims of a verified token |
//! | `verified` | a caller whose token was verified, and how long that counts |
//! | `grant` | what this caller may do here |
//! | `guard` | runs before each handler |
//! | `local` | who may call with `AUTH=off` |
//! | `authenticator` | verifies the tokens of callers |
//! | `bearer` | the token in the `Authorization` header |
//! | `cache` | tokens that were verified |
//! | `keys` | the keys that verify tokens: source, refresh, age |
//! | `refusal`, `forbidden`, `metrics` | what the caller, the log and the metrics get |
//! | `config` | the `AUTH*` variables |
//! | `key_set` | the keys of an issuer |
//! | `token` | verifies one token |
//! | `strict_json` | JSON objects without duplicate members |
//! | `algorithm` | names of signature algorithms |
//! | `text` | names in tokens and key sets |

mod access;
mod algorithm;
mod authenticator;
mod bearer;
mod cache;
mod caller;
mod config;
mod forbidden;
mod grant;
pub(crate) mod guard;
mod key_set;
mod keys;
mod local;
mod metrics;
mod refusal;
mod strict_json;
#[cfg(test)]
mod test_keys;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod verified;

pub use self::access::{Access, Right};
pub use self::authenticator::{Authenticator, JwtAuthenticator};
pub use self::caller::Caller;
pub use self::config::AuthConfig;
pub use self::grant::Grant;
pub use self::local::{Local, is_from_this_machine};
pub use self::text::escaped;
