//! The commands of docs/authentication.md, from a token to the first order.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::curl::has_curl;
use testkit::services::ServiceKind;
use testkit::wait;
use tokio::process::Command;

use super::callers::Caller;
use super::scene::Scene;
use crate::documents::{compare, examples_of_another_system};

const DOCUMENT: &str = "docs/authentication.md";
const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_reader_gets_from_a_token_to_the_first_order() -> Result<()> {
    if !has_curl()? {
        return Ok(());
    }
    let scene = Scene::start().await?;
    let token = |caller: Caller| scene.token(&caller)?.context("no token");
    let checkout = token(Caller { scopes: vec!["orders:place"], customer: None })?;
    let alice = token(Caller { scopes: vec!["orders:read", "orders:cancel"], customer: Some("alice") })?;
    let mut commands = 0;
    for (command, shown) in examples_of_another_system(DOCUMENT)? {
        if !command.starts_with("curl ") {
            continue;
        }
        commands += 1;
        let command = command
            .replace("http://127.0.0.1:8081", scene.url(ServiceKind::WriteApi)?)
            .replace("http://127.0.0.1:8082", scene.url(ServiceKind::ReadApi)?);
        // The read side follows in milliseconds.
        let tried = wait::until("the documented response", SOON, || async {
            let mut shell = Command::new("sh");
            shell.args(["-ec", &command]).env("CHECKOUT_TOKEN", &checkout).env("ALICE_TOKEN", &alice);
            shell.env("ACCESS_TOKEN", &checkout);
            let output = shell.kill_on_drop(true).output().await.map_err(|error| error.to_string())?;
            let printed = String::from_utf8_lossy(&output.stdout);
            compare(&shown, &printed).map_err(|error| format!("{command}\n{error:#}\n{printed}"))
        });
        tried.await?;
    }
    ensure!(commands == 5, "{commands} commands");
    Ok(())
}
