//! What each caller may read.

mod another_customers_list;
mod another_customers_order;
mod expiry;
mod scopes;
mod shared_statement;
mod shares;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use tempfile::TempDir;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::statement_log::StatementLog;
use testkit::tokens::{Role, TokenIssuer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::NoTls;

use crate::support::{Replica, insert};

/// A read-api that demands tokens, and the issuer of these.
struct Guarded {
    replica: Replica,
    issuer: TokenIssuer,
    _key_set: TempDir,
}

impl Guarded {
    fn start(database_url: &str, vars: &[(&str, &str)]) -> Result<Self> {
        let key_set = tempfile::tempdir()?;
        let issuer = TokenIssuer::new(key_set.path())?;
        let auth = issuer.variables_without_shares();
        let vars: Vec<_> = auth
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(vars.iter().copied())
            .collect();
        Ok(Self { replica: Replica::start(database_url, &vars)?, issuer, _key_set: key_set })
    }

    fn token(&self, scopes: &[&str], customer: Option<&str>) -> Result<String> {
        Ok(self.issuer.token("somebody", scopes, customer)?)
    }

    fn token_of(&self, role: Role<'_>) -> Result<String> {
        Ok(self.issuer.token_of(role)?)
    }

    /// The response to this request. Each header is a whole line.
    async fn exchange(&self, method: &str, path: &str, token: &str, headers: &[&str]) -> Result<Received> {
        let address = self.replica.url.trim_start_matches("http://");
        let (host, authorization) = (format!("host: {address}"), format!("authorization: Bearer {token}"));
        let line = format!("{method} {path} HTTP/1.1");
        let own = [line.as_str(), &host, &authorization, "connection: close"];
        let request: String = own.iter().chain(headers).flat_map(|line| [line, "\r\n"]).collect();
        let mut connection = TcpStream::connect(address).await?;
        connection.write_all(format!("{request}\r\n").as_bytes()).await?;
        let mut response = Vec::new();
        connection.read_to_end(&mut response).await?;
        Received::parse(&String::from_utf8(response)?)
    }

    async fn get(&self, path: &str, token: &str) -> Result<Received> {
        self.exchange("GET", path, token, &[]).await
    }
}

/// A response without what differs between any two: `Date`, the request's id, and the order of the headers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Received {
    status: StatusCode,
    /// Status line, headers and body.
    text: String,
}

impl Received {
    fn parse(response: &str) -> Result<Self> {
        let (head, body) = response.split_once("\r\n\r\n").context("no head")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        let differs = |line: &&str| {
            let name = line.split(':').next().unwrap_or_default();
            ["date", "x-request-id"].iter().any(|differing| name.eq_ignore_ascii_case(differing))
        };
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).context("no id")?;
        let body = body.replace(id, "");
        let mut head: Vec<_> = head.lines().filter(|line| !differs(line)).collect();
        // The server writes headers in any order.
        if let Some((_status, headers)) = head.split_first_mut() {
            headers.sort_unstable();
        }
        Ok(Self { status, text: format!("{}\n\n{body}", head.join("\n")) })
    }

    /// The value of this header.
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.text.lines().take_while(|line| !line.is_empty());
        let mut headers = lines.filter_map(|line| line.split_once(": "));
        headers.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }
}

/// A guarded read-api with orders 1 of alice and 2 of bob, on a server that logs its statements.
struct Logged {
    api: Guarded,
    log: StatementLog,
    server: PrivateServer,
}

impl Logged {
    async fn start() -> Result<Self> {
        let server = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
        let url = server.superuser_url("postgres");
        migrate::up(&url).await?;
        let (session, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        insert(&session, &[(1, "alice", 0), (2, "bob", 1)]).await?;
        let log = StatementLog::start(&server, "orders_read_api").await?;
        let api = Guarded::start(&server.url("orders_read_api", "postgres"), &[])?;
        api.replica.until_ready_is(StatusCode::OK).await?;
        Ok(Self { api, log, server })
    }

    /// The URL of its database for the role of read-api.
    fn url(&self) -> String {
        self.server.url("orders_read_api", "postgres")
    }

    /// The names of the statements since the last call, without those of the database check. The polls of a wait count
    /// as one, since their number depends on the time. The last one may come after the response, so `reached` at the
    /// start belongs to an earlier request: none starts with it.
    fn statements(&mut self) -> Result<Vec<String>> {
        let mut names = self.log.take()?;
        names.retain(|text| text.starts_with("-- ") && text != "-- catalog");
        names.dedup_by(|next, last| next == last && next == "-- reached");
        if names.first().is_some_and(|name| name == "-- reached") {
            names.remove(0);
        }
        Ok(names)
    }
}
