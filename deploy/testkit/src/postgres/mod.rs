//! A private PostgreSQL server on a Unix socket in a directory that only its user can enter. It ends with the process
//! that uses it.

mod binaries;
mod error;
mod layout;
mod options;
mod password_server;
mod scratch;
mod server;
mod shared;

use std::path::Path;

pub use binaries::{Binaries, BinariesError};
pub use error::ServerError;
pub(crate) use error::prepare;
pub use options::{ServerOptions, Tuning};
pub use password_server::PasswordServer;
pub use scratch::open_to_the_servers_user;
pub(crate) use scratch::{Scratch, private_dir, server_user};
pub use server::PrivateServer;
pub(crate) use shared::{SharedServer, lock, shared_server};

/// The superuser of a private server.
pub(crate) const SUPERUSER: &str = "postgres";

/// The URL of `database` for `role` on the server whose socket is in `socket_dir`.
#[must_use]
pub(crate) fn socket_url(socket_dir: &Path, role: &str, database: &str) -> String {
    socket_url_at(socket_dir, None, role, database)
}

/// The same of a server that has this port, which is in its socket's name.
fn socket_url_at(socket_dir: &Path, port: Option<u16>, role: &str, database: &str) -> String {
    let host = socket_dir.display().to_string().replace('%', "%25").replace('/', "%2F").replace(' ', "%20");
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    format!("postgres://{role}@{host}{port}/{database}")
}
