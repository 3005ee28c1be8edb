//! A secret that the operator gives, in a file or on standard input.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::support::count;
use crate::support::Scene;

const FIRST: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const SECOND: &str = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5";

/// Runs `projector webhooks` with this file as its standard input.
async fn run(scene: &Scene, arguments: &[&str], input: Option<&Path>) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_projector"));
    command.arg("webhooks").args(arguments).env_clear();
    command.env("DATABASE_URL", scene.database.url("orders_projector")).env("WEBHOOK_ALLOW_PRIVATE", "true");
    match input {
        Some(input) => command.stdin(File::open(input)?),
        None => command.stdin(Stdio::null()),
    };
    // A receiver of the test runs on this thread.
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

/// What a command prints, which is never the secret.
async fn stdout(scene: &Scene, arguments: &[&str], input: Option<&Path>) -> Result<String> {
    let output = run(scene, arguments, input).await?;
    ensure!(output.status.success(), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stdout)?;
    ensure!(!text.contains("whsec_"), "{text}");
    Ok(text)
}

/// Sends a test message, which one of the secrets must have signed.
async fn verify(scene: &Scene, receiver: &Receiver, good: &[&str], bad: &[&str]) -> Result<()> {
    stdout(scene, &["test", "1"], None).await?;
    let messages = receiver.received();
    let message = messages.last().context("no message")?;
    good.iter().try_for_each(|secret| message.verify(secret))?;
    ensure!(bad.iter().all(|secret| message.verify(secret).is_err()), "signed with another secret");
    Ok(())
}

fn write(folder: &Path, text: impl AsRef<[u8]>, mode: u32) -> Result<String> {
    let file = folder.join("secret");
    fs::write(&file, text)?;
    fs::set_permissions(&file, Permissions::from_mode(mode))?;
    Ok(file.to_str().context("a path")?.to_owned())
}

#[tokio::test]
async fn a_receiver_verifies_with_the_secret_that_was_given() -> Result<()> {
    let (scene, receiver, folder) = (Scene::create().await?, Receiver::start()?, tempfile::tempdir()?);
    let file = write(folder.path(), format!("{FIRST}\n"), 0o640)?;
    let url = receiver.url();
    let added = stdout(&scene, &["add", "--url", &url, "--secret-file", &file], None).await?;
    assert_eq!(added, "1 added, with the secret that was given\n");
    verify(&scene, &receiver, &[FIRST], &[SECOND]).await?;

    let file = write(folder.path(), format!("{SECOND}\r\n"), 0o600)?;
    let rotate = ["rotate-secret", "1", "--secret-file", "-"];
    let rotated = stdout(&scene, &rotate, Some(file.as_ref())).await?;
    let expected = "the secret of 1 is now the one that was given; the previous one signs too for 24 hours\n";
    assert_eq!(rotated, expected);
    verify(&scene, &receiver, &[FIRST, SECOND], &[]).await?;

    let file = write(folder.path(), FIRST, 0o600)?;
    let back = ["rotate-secret", "1", "--keep-previous-hours", "0", "--json", "--secret-file", &file];
    assert_eq!(serde_json::from_str::<Value>(&stdout(&scene, &back, None).await?)?, json!({"id": 1}));
    let add = ["add", "--url", &url, "--json", "--secret-file", "-"];
    let added = stdout(&scene, &add, Some(file.as_ref())).await?;
    assert_eq!(serde_json::from_str::<Value>(&added)?, json!({"id": 2}));
    Ok(())
}

#[tokio::test]
async fn a_file_or_a_text_that_is_no_secret_is_refused_without_repeating_it() -> Result<()> {
    let (scene, folder) = (Scene::create().await?, tempfile::tempdir()?);
    let (no_secret, empty) =
        ("must be whsec_ and the Base64 of 24 to 64 bytes", "is empty, larger than 64 KiB");
    let cases = [
        (FIRST.to_owned(), 0o644, "--secret-file names a file that every user can read: chmod o-r"),
        (String::new(), 0o600, "names a file that is empty, larger than 64 KiB, or not text"),
        ("x".repeat(1 << 17), 0o600, "names a file that is empty, larger than 64 KiB, or not text"),
        (FIRST.replace("whsec_", ""), 0o600, no_secret),
        (format!("whsec_{}", &FIRST[26..]), 0o600, no_secret),
        (format!("{FIRST}\n{FIRST}\n"), 0o600, no_secret),
    ];
    for (text, mode, expected) in cases {
        let file = write(folder.path(), &text, mode)?;
        for (from, expected) in [(file.as_str(), expected), ("-", expected)] {
            // Standard input has been opened by the operator's shell: who else can read it is not checked.
            if from == "-" && mode == 0o644 {
                continue;
            }
            let expected = if from == "-" && expected != no_secret { empty } else { expected };
            let add = ["add", "--url", "https://hooks.example/", "--secret-file", from];
            let output = run(&scene, &add, Some(file.as_ref())).await?;
            let error = String::from_utf8(output.stderr)?;
            assert_eq!(output.status.code(), Some(1), "{error}");
            assert!(error.contains(expected), "{error}");
            assert!(
                !error.contains(&FIRST[26..]) && !error.contains("xxx") && output.stdout.is_empty(),
                "{error}"
            );
        }
    }
    let missing = folder.path().join("missing");
    let add =
        ["add", "--url", "https://hooks.example/", "--secret-file", missing.to_str().context("a path")?];
    let error = String::from_utf8(run(&scene, &add, None).await?.stderr)?;
    assert!(error.contains("--secret-file names a file that cannot be read: No such file"), "{error}");
    assert_eq!(count(&scene, "webhook_endpoints").await?, 0);
    Ok(())
}
