//! Identifies the server process behind a session.

use tokio_postgres::SimpleQueryRow;

/// A server process. Several servers behind one address may have processes with the same id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Backend {
    id: String,
    /// Start time of the server, in seconds.
    server: String,
}

/// How the backends of two statements relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// One session.
    Same,
    /// Two sessions of one server.
    Sessions,
    /// Sessions of two servers, or of one server before and after a restart.
    Servers,
}

impl Backend {
    /// SQL expression that [`Self::parse`] reads.
    pub(super) const SQL: &'static str =
        "concat_ws(' ', pg_backend_pid(), extract(epoch FROM pg_postmaster_start_time()))";

    pub(super) fn parse(text: &str) -> Self {
        let (id, server) = text.split_once(' ').unwrap_or((text, ""));
        Self { id: id.to_owned(), server: server.to_owned() }
    }

    /// Reads the first column.
    pub(super) fn from_row(row: &SimpleQueryRow) -> Self {
        row.try_get(0).ok().flatten().map(Self::parse).unwrap_or_default()
    }

    pub(super) fn relation(&self, other: &Self) -> Relation {
        if self.server != other.server {
            Relation::Servers
        } else if self.id == other.id {
            Relation::Same
        } else {
            Relation::Sessions
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_on_another_server_is_another_session() {
        let backend = Backend::parse("4711 1795632341.123456");
        assert_eq!(backend.relation(&Backend::parse("4711 1795632341.123456")), Relation::Same);
        assert_eq!(backend.relation(&Backend::parse("4712 1795632341.123456")), Relation::Sessions);
        assert_eq!(backend.relation(&Backend::parse("4711 1795632342.123456")), Relation::Servers);
        assert_eq!(backend.relation(&Backend::parse("4712 1795632342.123456")), Relation::Servers);
    }
}
