//! Wrong arguments are named and not repeated.

use std::process::Command;

use anyhow::Result;
use testkit::arguments::{PASSWORD, SECRET, check_that_none_is_repeated};

const PROGRAM: &str = env!("CARGO_BIN_EXE_projector");

#[test]
fn a_wrong_argument_is_never_repeated() -> Result<()> {
    check_that_none_is_repeated(
        PROGRAM,
        &[
            &[],
            &["serve"],
            &["parked"],
            &["parked", "list"],
            &["parked", "show"],
            &["log"],
            &["log", "retention"],
            &["subscriptions"],
            &["subscriptions", "rewind", "revenue_1", "--to"],
            &["webhooks"],
            &["webhooks", "add"],
            &["webhooks", "add", "--url", "https://example.com"],
            &["webhooks", "show"],
            &["webhooks", "show", "1", "--attempts"],
            &["webhooks", "rotate-secret", "1", "--keep-previous-hours"],
        ],
    )
}

#[test]
fn what_webhooks_do_not_accept_is_not_repeated() -> Result<()> {
    const ADD: [&str; 4] = ["webhooks", "add", "--url", "https://example.com"];
    for (arguments, words) in [
        (vec!["webhooks", "add", "--url", SECRET], "--url must begin with https://"),
        (vec!["webhooks", "add", "--url", "https://u:hunter2@example.com"], "--url must not contain"),
        (vec!["webhooks", "add", "--url", "https://[hunter2]"], "--url is not a URL"),
        ([&ADD[..], &["--kind", SECRET]].concat(), "--kind is not a kind of event; there are order_placed"),
        ([&ADD[..], &["--secret-file", SECRET]].concat(), "--secret-file"),
        (vec!["webhooks", "rotate-secret", "1", "--secret-file", SECRET], "--secret-file"),
    ] {
        let output =
            Command::new(PROGRAM).args(&arguments).env_clear().env("DATABASE_URL", SECRET).output()?;
        let said = format!("{}{}", String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        assert!(!output.status.success() && said.contains(words), "{arguments:?}: {said}");
        assert!(!said.contains(PASSWORD), "{arguments:?}: {said}");
    }
    Ok(())
}
