//! Endpoints of webhooks for the canary test.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::postgres::PasswordServer;
use testkit::services::{ServiceBinaries, ServiceKind};
use testkit::wait;
use testkit::webhook_receiver::Receiver;

const LIMIT: Duration = Duration::from_secs(30);

/// `projector webhooks add`, with the secret on standard input. Nothing that it prints or logs shows the secret.
pub(crate) async fn add_endpoint(database_url: &str, url: &str, secret: &str) -> Result<()> {
    let program = ServiceBinaries::built().await?.program(ServiceKind::Projector);
    let mut command = Command::new(program);
    command.args(["webhooks", "add", "--secret-file", "-", "--url", url]);
    command.env_clear().env("DATABASE_URL", database_url).env("WEBHOOK_ALLOW_PRIVATE", "true");
    command.env("RUST_LOG", "trace").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        std::io::Write::write_all(&mut input, secret.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{output:?}");
    ensure!(!format!("{output:?}").contains(&secret[6..]), "it shows the secret");
    Ok(())
}

/// One event is parked, one endpoint has accepted what another has refused, and a delivery has been given up.
pub(crate) async fn until_all_has_happened(server: &PasswordServer, receiver: &Receiver) -> Result<()> {
    wait::until("a parked event", LIMIT, async || {
        let check = "DO $$ BEGIN ASSERT EXISTS (SELECT FROM parked_events), 'nothing is parked'; END $$";
        server.execute(check).await.map_err(|error| error.to_string())
    })
    .await?;
    wait::until("a delivered and a refused message", LIMIT, async || {
        let (accepted, refused) = (receiver.count("/accepted"), receiver.count("/refused"));
        if accepted > 2 && refused > 0 { Ok(()) } else { Err(format!("{accepted}, {refused}")) }
    })
    .await?;
    give_up_a_delivery(server).await
}

/// As if it had been refused for days, while others succeed.
async fn give_up_a_delivery(server: &PasswordServer) -> Result<()> {
    // Not while it is leased: its result would no longer count.
    const AGE: &str = "
        UPDATE deliveries
        SET first_failed_at = now() - interval '73 hours', failures = 50, next_attempt_at = now()
        WHERE failures > 0 AND next_attempt_at > now() AND leased_until IS NULL;
        UPDATE webhook_endpoints
        SET failures = 0, failing_since = NULL, hold_until = '-infinity', recovered_at = '-infinity'";
    const CHECK: &str =
        "DO $$ BEGIN ASSERT EXISTS (SELECT FROM subscription_parked), 'nothing is parked'; END $$";
    wait::until("a parked delivery", LIMIT, async || {
        server.execute(AGE).await.map_err(|error| error.to_string())?;
        // Of its own: it would undo the changes.
        server.execute(CHECK).await.map_err(|error| error.to_string())
    })
    .await?;
    Ok(())
}
