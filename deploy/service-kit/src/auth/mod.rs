//! Who may call, and what each caller may do.
//!
//! Every resource names its [`Access`]. The guard of the resource checks the caller's token before a byte of the body
//! is read, and gives the handler a [`Grant`].
//!
//! | File | Holds |
//! |---|---|
//! | `access` | what a resource needs |
//! | `caller` | the claims of a verified token |
//! | `grant` | what this caller may do here |
//! | `guard` | runs before each handler |
//! | `authenticator` | verifies tokens |
//! | `config` | the `AUTH*` variables |
//! | `key_set` | the keys of an issuer |
//! | `token` | verifies one token |
//! | `strict_json` | JSON objects without duplicate members |
//! | `text` | names in tokens and key sets |

mod access;
mod authenticator;
mod caller;
mod config;
mod grant;
pub(crate) mod guard;
mod key_set;
mod strict_json;
#[cfg(test)]
mod test_keys;
mod text;
mod token;

pub use self::access::{Access, Right};
pub use self::authenticator::{Authenticator, Refused};
pub use self::caller::Caller;
pub use self::config::AuthConfig;
pub use self::grant::Grant;
pub use self::guard::insufficient_scope;
