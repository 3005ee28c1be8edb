//! A client with HTTP/2: curl, with one connection for everything, and no retries of its own but those of the protocol.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::wait;
use uuid::Uuid;

use super::stack::Stack;

/// More than it comes to while replicas are restarted or killed.
const REQUESTS: usize = 8_000;
const SOON: Duration = Duration::from_mins(1);

/// Places orders and reads lists, in turn, until it is finished or dropped.
pub(crate) struct Http2 {
    curl: Child,
    orders: Vec<Uuid>,
    /// The version and the status of each response.
    responses: Arc<Mutex<Vec<String>>>,
}

impl Http2 {
    pub(crate) fn start(stack: &Stack) -> Result<Self> {
        let orders: Vec<_> = (0..REQUESTS / 2).map(|_| Uuid::new_v4()).collect();
        let mut command = Command::new("curl");
        command.args(["--rate", "40/s", "--config", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut curl = command.spawn().context("curl does not start")?;
        let config = config(stack, &orders)?;
        let mut stdin = curl.stdin.take().context("no input")?;
        let stderr = curl.stderr.take().context("no output")?;
        let responses = Arc::<Mutex<Vec<String>>>::default();
        let read = Arc::clone(&responses);
        std::thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            lines.for_each(|line| read.lock().unwrap_or_else(PoisonError::into_inner).push(line));
        });
        stdin.write_all(config.as_bytes())?;
        Ok(Self { curl, orders, responses })
    }

    /// Checks that every request was answered with success, on HTTP/2. A POST whose process was killed was sent again.
    ///
    /// Returns the orders that were acknowledged.
    pub(crate) async fn finish(mut self) -> Result<Vec<Uuid>> {
        let responses = || self.responses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let before = responses().len();
        wait::until("another response", SOON, || {
            let count = responses().len();
            std::future::ready(if count > before { Ok(()) } else { Err(format!("{count} responses")) })
        })
        .await?;
        ensure!(self.curl.try_wait()?.is_none(), "curl has ended before its time");
        let responses = responses();
        for (number, response) in responses.iter().enumerate() {
            let expected: &[&str] = if number % 2 == 0 { &["2 200", "2 201"] } else { &["2 200"] };
            ensure!(expected.contains(&response.as_str()), "request {number} over HTTP/2: {response}");
        }
        println!("{} requests over HTTP/2", responses.len());
        Ok(self.orders[..responses.len().div_ceil(2)].to_vec())
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        let _ended = self.curl.kill().and_then(|()| self.curl.wait());
    }
}

/// The requests, as curl reads them. Each result goes to standard error at once: standard output would have a buffer.
fn config(stack: &Stack, orders: &[Uuid]) -> Result<String> {
    let ca = stack.secrets.of("ca").join("ca.pem");
    let common = format!(
        "http2\nsilent\nmax-time = 60\noutput = /dev/null\n\
         write-out = \"%{{stderr}}%{{http_version}} %{{http_code}}\\n\"\n\
         cacert = \"{}\"\nheader = \"authorization: Bearer {}\"\n",
        ca.display(),
        stack.secrets.token()?
    );
    let url = format!("https://localhost:{}", stack.https_port);
    let mut config = String::new();
    for order in orders {
        let items = json!([{"sku": "TEA", "quantity": 2, "price_cents": 450}]);
        let body = json!({"order_id": order, "customer_id": "erin", "items": items}).to_string();
        write!(
            config,
            "{common}header = \"content-type: application/json\"\ndata = {body:?}\nurl = {url}/orders\n"
        )?;
        write!(config, "next\n{common}url = {url}/customers/erin/orders\nnext\n")?;
    }
    Ok(config)
}
