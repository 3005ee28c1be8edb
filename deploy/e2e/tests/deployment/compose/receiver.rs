//! A receiver of webhooks on this machine.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::wait;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::stack::Stack;

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const SOON: Duration = Duration::from_mins(2);

pub(crate) struct Receiver {
    placed: Arc<Mutex<BTreeSet<String>>>,
    _server: AbortOnDropHandle<std::io::Result<()>>,
}

impl Receiver {
    /// Starts it, and registers it with a projector.
    pub(crate) fn start(stack: &Stack) -> Result<Self> {
        let listener = TcpListener::bind((stack.host(), 0))?;
        let url = format!("http://{}/", listener.local_addr()?);
        let placed = Arc::<Mutex<BTreeSet<String>>>::default();
        let handled = Arc::clone(&placed);
        let server = receiver::serve(listener, SECRET, move |message| {
            let order = message.data.pointer("/order/order_id").or(message.data.get("order_id"));
            let order = order.and_then(serde_json::Value::as_str).context("an event without an order")?;
            if message.kind == "order_placed" {
                handled.lock().unwrap_or_else(PoisonError::into_inner).insert(order.to_owned());
            }
            Ok(())
        })?;
        let server = AbortOnDropHandle::new(tokio::spawn(server));
        register(&stack.container("projector")?, &url)?;
        Ok(Self { placed, _server: server })
    }

    /// Waits until it has an event of each of the orders.
    pub(crate) async fn until_received(&self, orders: &[Uuid]) -> Result<()> {
        wait::until("every event to arrive", SOON, || {
            let placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
            let missing = orders.iter().filter(|order| !placed.contains(&order.to_string())).count();
            std::future::ready(if missing == 0 { Ok(()) } else { Err(format!("{missing} are missing")) })
        })
        .await?;
        Ok(())
    }
}

fn register(projector: &str, url: &str) -> Result<()> {
    let mut command = Command::new("podman");
    command.args(["exec", "--interactive", projector, "/projector", "webhooks", "add", "--url", url]);
    let mut child = command.args(["--secret-file", "-"]).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().context("no input")?.write_all(SECRET.as_bytes())?;
    let status = child.wait()?;
    ensure!(status.success(), "webhooks add: {status}");
    Ok(())
}
