//! Access tokens of an independent issuer: `oauth2-mock-server` on Node.js, and the real processes of all APIs.
//!
//! Needs `node` (20.19 or newer) and `npm`, which fetches the library. Without them the tests print a message and pass,
//! unless `REQUIRE_ISSUER` is set.
//!
//! | File | Holds |
//! |---|---|
//! | `install`, `server` | the issuer |
//! | `apis` | the four APIs and their callers |
//! | `tokens` | accepted and refused tokens |
//! | `rotation`, `outage` | keys change, and the issuer is down, under load |
//! | `start` | the issuer is down when the processes start |
//! | `storm` | unknown keys |
//! | `tls` | https, and addresses that are refused |

mod apis;
mod install;
mod outage;
mod rotation;
mod server;
mod start;
mod storm;
mod tls;
mod tokens;

/// Both at once: each of them mostly waits.
#[tokio::test]
async fn a_rotation_under_load_and_a_minute_without_the_issuer_refuse_nothing() -> anyhow::Result<()> {
    tokio::try_join!(rotation::check(), outage::check())?;
    Ok(())
}
