//! A text that is shared without copies.

use std::sync::Arc;

use diesel::pg::Pg;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;

/// Shared by a pending write and its statement.
#[derive(Debug, Clone)]
pub(super) struct SharedText(Arc<str>);

impl From<String> for SharedText {
    /// Drops the string's spare capacity.
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for SharedText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl SharedText {
    pub(super) fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl ToSql<Text, Pg> for SharedText {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<Text, Pg>>::to_sql(&self.0, out)
    }
}
