//! What a reader can try while everything runs.

use std::fmt::Write as _;

use anyhow::Result;
use chrono::SecondsFormat;
use testkit::database::Database;
use testkit::services::ServiceKind;
use testkit::tokens::Role;

use super::callers::Callers;
use super::demonstration::CUSTOMER;
use super::print_line;
use super::system::System;

/// Prints the commands, with the tokens that they need.
pub(super) fn print(system: &System, database: &Database, callers: &Callers) -> Result<()> {
    let parts = [tokens(callers)?, apis(system, callers), processes(system, database)];
    print_line(&format!("{}\nCtrl-C stops everything.", parts.concat()))
}

/// A shell variable for the token of each role.
fn tokens(callers: &Callers) -> Result<String> {
    let Some(expires) = callers.expires() else { return Ok(String::new()) };
    let expires = expires.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut text = format!("\nTokens for the commands below, valid until {expires}, or until this ends:\n");
    for role in Role::ALL_CUSTOMERS.into_iter().chain([Role::Customer(CUSTOMER)]) {
        if let Some(token) = callers.token(role)? {
            writeln!(text, "  export {}={token}", variable(role))?;
        }
    }
    Ok(text)
}

/// The shell variable for the token of a role.
fn variable(role: Role<'_>) -> String {
    format!("{}_TOKEN", role.subject().to_uppercase())
}

fn apis(system: &System, callers: &Callers) -> String {
    let (write, read) = (system.url(ServiceKind::WriteApi), system.url(ServiceKind::ReadApi));
    let feed = system.feed_url();
    let bearer = |role| match callers {
        Callers::Anyone => String::new(),
        Callers::WithTokens { .. } => format!(" \\\n    -H \"authorization: Bearer ${}\"", variable(role)),
    };
    let (checkout, payment) = (bearer(Role::Checkout), bearer(Role::Payment));
    let (customer, events) = (bearer(Role::Customer(CUSTOMER)), bearer(Role::Events));
    let revenue = match system.url(ServiceKind::RevenueApi) {
        "" => String::new(),
        url => {
            let revenue = bearer(Role::Revenue);
            format!(
                "See the example's read model:\n  curl '{url}/revenue?by=month'{revenue}\n  \
                 curl '{url}/orders-by-sku'{revenue}\n"
            )
        }
    };
    format!(
        "
Place an order:
  curl -i {write}/orders{checkout} -H 'content-type: application/json' \\
    -d '{{\"customer_id\": \"{CUSTOMER}\", \
\"items\": [{{\"sku\": \"TEA-EARL-GREY\", \"quantity\": 2, \"price_cents\": 450}}]}}'
Pay it, with the order_id of that response:
  curl -i {write}/orders/$ORDER_ID/pay{payment} -d ''
See the order:
  curl -i '{read}/customers/{CUSTOMER}/orders?limit=20'{customer}
  or in a browser: {read}/#customer={CUSTOMER}
Wait for its events:
  curl -i '{feed}/events?after=now' -H 'prefer: wait=30'{events}
Read and try the APIs in a browser:
  {write}/docs, {read}/docs and {feed}/docs
{revenue}"
    )
}

/// The probes, the commands of the projector, the database and the logs.
fn processes(system: &System, database: &Database) -> String {
    format!(
        "Check readiness and metrics:
  curl -i {read_admin}/readyz
  curl {projector_admin}/metrics
Run commands of the projector, in another terminal:
  {export}
  export WEBHOOK_ALLOW_PRIVATE=true
  cargo run -p projector -- webhooks list
Or open {projector_admin}/ in a browser.
Open the database and follow the logs, which are removed at the end:
  {psql}
  tail -f {logs}/*.log
",
        read_admin = system.admin_url(ServiceKind::ReadApi),
        projector_admin = system.projector_admin_url(),
        export = database.export(ServiceKind::Projector.role()),
        psql = database.psql(),
        logs = database.log_dir().display(),
    )
}
