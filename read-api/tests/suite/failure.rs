//! Failures of the database, and the start of the process.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use testkit::fault_proxy::Wire;
use testkit::wait;
use tokio::process::Command;

use crate::support::{Api, SOON, problem};

#[tokio::test]
async fn probes_and_metrics_have_a_listener_of_their_own() -> Result<()> {
    let api = Api::start().await?;
    api.until_ready_is(StatusCode::OK).await?;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(api.probe(path).await?.status(), StatusCode::OK, "{path}");
        assert_eq!(api.get(path).await?.status(), StatusCode::NOT_FOUND, "{path} on the port of the API");
    }
    let elsewhere = api.probe("/orders").await?;
    assert_eq!(problem(elsewhere).await?["type"], "/problems/no-such-resource");
    Ok(())
}

#[tokio::test]
async fn without_the_database_responses_are_503_and_recover_with_it() -> Result<()> {
    let api = Api::start().await?;
    api.until_ready_is(StatusCode::OK).await?;
    let session = api.database.connect().await?;
    api.database.close(&session).await?;

    api.until_ready_is(StatusCode::SERVICE_UNAVAILABLE).await?;
    for path in ["/customers/alice/orders", "/orders/00000000-0000-0000-0000-000000000001", "/readyz"] {
        let response = if path == "/readyz" { api.probe(path).await? } else { api.get(path).await? };
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(response.headers()["retry-after"], "1", "{path}");
        assert_eq!(problem(response).await?["type"], "/problems/unavailable", "{path}");
    }
    assert_eq!(api.probe("/livez").await?.status(), StatusCode::OK, "a restart would not help");

    api.database.reopen(&session).await?;
    wait::until("a response", Duration::from_secs(20), || async {
        let status = api.get("/customers/alice/orders").await.map(|response| response.status());
        if matches!(status, Ok(StatusCode::OK)) { Ok(()) } else { Err(status) }
    })
    .await?;
    api.until_ready_is(StatusCode::OK).await?;
    Ok(())
}

#[tokio::test]
async fn a_database_that_goes_silent_leads_to_503_and_not_to_a_hang() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy().await?;
    assert_eq!(api.get("/customers/alice/orders").await?.status(), StatusCode::OK);
    proxy.set(Wire::RequestsLost);
    let response = tokio::time::timeout(Duration::from_secs(5), api.get("/customers/alice/orders")).await??;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    // The silent connection is not used again.
    proxy.heal_for_new_connections();
    assert_eq!(api.get("/customers/alice/orders").await?.status(), StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn a_bad_configuration_ends_the_process_at_once_with_an_error_that_names_the_variable() -> Result<()> {
    let url = ("DATABASE_URL", "postgres://orders_read_api@localhost/orders");
    let key = ("CURSOR_KEY", "a secret that all replicas share");
    for (vars, named) in [
        (vec![key], "DATABASE_URL"),
        (vec![url], "CURSOR_KEY"),
        (vec![url, ("CURSOR_KEY", "too short")], "CURSOR_KEY"),
        (vec![url, key, ("CURSOR_KEY_PREVIOUS", "too short")], "CURSOR_KEY_PREVIOUS must have"),
        (vec![url, key, ("CURSOR_KEY_PREVIOUS", key.1)], "CURSOR_KEY_PREVIOUS must differ"),
        (vec![url, key, ("CURSOR_KEY_FILE", "/key")], "CURSOR_KEY and CURSOR_KEY_FILE are both set"),
        (vec![url, ("CURSOR_KEY_FILE", "/no/such/file")], "CURSOR_KEY_FILE names a file that cannot be read"),
        (
            vec![url, key, ("CURSOR_KEY_PREVIOUS_FILE", "/etc/passwd")],
            "CURSOR_KEY_PREVIOUS_FILE names a file that every user can read",
        ),
        (vec![url, key, ("AUTH", "on")], "AUTH must be"),
        (vec![url, key, ("BIND_ADDRESS", "0.0.0.0")], "AUTH must not be `off`"),
        (vec![url, key, ("PORT", "-1")], "PORT"),
        (vec![url, key, ("ADMIN_PORT", "-1")], "ADMIN_PORT"),
        (vec![url, key, ("LIVE_POLL_MS", "9")], "LIVE_POLL_MS"),
        (vec![url, key, ("LIVE_POLL_MS", "2001")], "LIVE_POLL_MS"),
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_read-api"));
        program.env_clear().env("AUTH", "off").envs(vars).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(SOON, program.output()).await.context(named)??;
        let log = String::from_utf8(output.stdout)?;
        assert!(!log.contains("has died"), "{named}: {log}");
        let line: serde_json::Value = serde_json::from_str(log.trim_end()).context("not one line of JSON")?;
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(line["error"].as_str().is_some_and(|error| error.contains(named)), "{named}: {line}");
        assert_eq!((output.status.code(), output.stderr), (Some(78), vec![]), "{named}");
        assert!(
            !log.contains("too short") && !log.contains("a secret"),
            "secrets do not belong in logs: {log}"
        );
    }
    Ok(())
}

#[test]
fn the_program_explains_itself_and_refuses_what_it_does_not_know() -> Result<()> {
    let run = |argument| {
        std::process::Command::new(env!("CARGO_BIN_EXE_read-api")).arg(argument).env_clear().output()
    };
    let help = run("--help")?;
    assert!(help.status.success() && String::from_utf8(help.stdout)?.contains("deploy/README.md"));
    let unknown = run("republish")?;
    let said = String::from_utf8(unknown.stderr)?;
    // It may have been a secret.
    assert!(
        !unknown.status.success() && said.contains("Usage: read-api") && !said.contains("republish"),
        "{said}"
    );
    Ok(())
}
