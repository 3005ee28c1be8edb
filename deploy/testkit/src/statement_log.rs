//! The statements that a server has executed.

use std::fs;
use std::io;
use std::path::PathBuf;

use tokio_postgres::NoTls;

use crate::postgres::PrivateServer;

/// The statements of one role on a private server, as the server's log has them.
#[derive(Debug)]
pub struct StatementLog {
    log: PathBuf,
    /// What starts each line about a statement.
    prefix: String,
    /// The length of the log at the last call of [`Self::take`].
    read: usize,
}

impl StatementLog {
    /// Logs the statements of `role` in sessions that start from now on.
    ///
    /// # Errors
    ///
    /// [`tokio_postgres::Error`] if the server does not take the settings.
    pub async fn start(server: &PrivateServer, role: &str) -> Result<Self, tokio_postgres::Error> {
        let (session, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
        tokio::spawn(connection);
        for setting in ["ALTER SYSTEM SET log_line_prefix = '%u '", "SELECT pg_reload_conf()"] {
            session.batch_execute(setting).await?;
        }
        session.batch_execute(&format!("ALTER ROLE {role} SET log_statement = 'all'")).await?;
        Ok(Self { log: server.log().to_owned(), prefix: format!("{role} LOG:  "), read: 0 })
    }

    /// The first line of each statement since the last call, in order; that is the comment with the name of a statement
    /// that has one. The server logs a statement before it executes it.
    ///
    /// # Errors
    ///
    /// [`io::Error`] if the log cannot be read.
    pub fn take(&mut self) -> io::Result<Vec<String>> {
        let log = fs::read(&self.log)?;
        let new = String::from_utf8_lossy(log.get(self.read..).unwrap_or_default()).into_owned();
        self.read = log.len();
        let statements = new.lines().filter_map(|line| {
            let (kind, text) = line.strip_prefix(&self.prefix)?.split_once(": ")?;
            (kind == "statement" || kind.starts_with("execute ")).then(|| text.to_owned())
        });
        Ok(statements.collect())
    }
}
