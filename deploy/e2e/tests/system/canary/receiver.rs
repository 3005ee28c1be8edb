//! Endpoints of webhooks for the canary test, and who receives their messages.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::postgres::PasswordServer;
use testkit::services::{ServiceBinaries, ServiceKind};
use testkit::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

const LIMIT: Duration = Duration::from_secs(30);

/// Keeps each message. It refuses those for `/refused`, and shipped orders for `/mixed`. It ends when dropped.
pub(crate) struct Receiver {
    url: String,
    messages: Arc<Mutex<Vec<Message>>>,
    task: AbortHandle,
}

#[derive(Clone)]
struct Message {
    head: String,
    body: String,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let messages = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&messages);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(respond(stream, Arc::clone(&kept)));
            }
        });
        Ok(Self { url, messages, task: task.abort_handle() })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What has arrived for this path.
    pub(crate) fn bodies(&self, path: &str) -> Vec<String> {
        let sent =
            self.messages().into_iter().filter(|message| message.head.starts_with(&format!("POST {path} ")));
        sent.map(|message| message.body).collect()
    }

    /// How many messages have arrived for this path.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.messages().iter().filter(|message| message.head.starts_with(&format!("POST {path}?"))).count()
    }

    /// The signatures of all messages.
    pub(crate) fn signatures(&self) -> Vec<String> {
        let messages = self.messages();
        let lines = messages.iter().flat_map(|message| message.head.lines());
        lines.filter_map(|line| line.strip_prefix("webhook-signature: v1,")).map(str::to_owned).collect()
    }
}

/// Reads one message, and closes the connection.
async fn respond(mut stream: TcpStream, messages: Arc<Mutex<Vec<Message>>>) -> Result<()> {
    let mut bytes = Vec::new();
    let (message, is_refused) = loop {
        ensure!(stream.read_buf(&mut bytes).await? > 0, "the connection ended");
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap_or("0").parse()?;
        if body.len() >= length {
            let is_shipped = head.starts_with("POST /mixed") && body.contains("order_shipped");
            let message = Message { head: head.to_owned(), body: body.to_owned() };
            break (message, is_shipped || head.starts_with("POST /refused"));
        }
    };
    let status = if is_refused { "500 Refused" } else { "200 OK" };
    messages.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    Ok(stream.write_all(response.as_bytes()).await?)
}

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
