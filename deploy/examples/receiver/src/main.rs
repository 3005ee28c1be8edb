//! `receiver`: prints the events that it gets at port 8085. `WEBHOOK_SECRET` is the secret of the endpoint.

use std::env;
use std::io::{Write, stdout};
use std::net::TcpListener;

use anyhow::Context;

const ADDRESS: &str = "127.0.0.1:8085";

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let secret = env::var("WEBHOOK_SECRET").context("WEBHOOK_SECRET is not set")?;
    let listener = TcpListener::bind(ADDRESS).with_context(|| format!("cannot listen at {ADDRESS}"))?;
    let server = receiver::serve(listener, &secret, |message| {
        Ok(writeln!(stdout(), "{}  {}  {}", message.id, message.kind, message.data)?)
    })?;
    writeln!(stdout(), "listens at http://{ADDRESS}/")?;
    Ok(server.await?)
}
