//! A text that is written to the database from where it is, however many hold it.

use std::sync::Arc;

use diesel::pg::Pg;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;

/// A command and the statement that stores it hold the same text, rather than one each.
#[derive(Debug, Clone)]
pub(super) struct SharedText(Arc<str>);

impl From<String> for SharedText {
    /// Without the room that a string leaves for growing.
    fn from(text: String) -> Self {
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
