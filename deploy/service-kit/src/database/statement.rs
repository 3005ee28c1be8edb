//! Statements whose SQL is a file, with one field per parameter.

/// Declares a statement that diesel prepares once per connection, for all values of its parameters.
///
/// The file is beside the module. Its first line is `-- ` and its name without `.sql`; this names the statement in
/// `pg_stat_activity` and in PostgreSQL's log. A comment with the file's name is added at the end and names it in
/// `pg_stat_statements`. Its parameters are `$1` to `$n`, each once, in the order of the fields. It has no other `$`,
/// not even in comments. A file that breaks a rule does not compile. A statement whose fields borrow has a lifetime:
/// `struct Example<'a> = …`.
///
/// ```text
/// use diesel::sql_types::{Array, BigInt, Text};
///
/// service_kit::statement! {
///     /// The newest events of these kinds.
///     struct Example = "example.sql" -> (BigInt, Text) {
///         kinds: Vec<String> as Array<Text>,
///         limit: i64 as BigInt,
///     }
/// }
/// ```
#[macro_export]
macro_rules! statement {
    // The last two types are the statement with elided and with static lifetime.
    (
        @declare [$(#[$attribute:meta])*] [$vis:vis] [$name:ident] [$($lifetime:tt)*]
        [$statement:ty] [$static_statement:ty]
        $file:literal $(-> $row:ty)? {
            $($(#[$field_attribute:meta])* $field_vis:vis $field:ident: $rust:ty as $sql_type:ty),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        $vis struct $name $($lifetime)* {
            $($(#[$field_attribute])* $field_vis $field: $rust),*
        }

        impl diesel::query_builder::QueryId for $statement {
            type QueryId = $static_statement;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        $(impl diesel::query_builder::Query for $statement {
            type SqlType = $row;
        })?

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $statement {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                const FIELDS: &[&str] = &[$(stringify!($field)),*];
                const PARTS: [&str; FIELDS.len() + 1] =
                    $crate::database::statement::parts($file, include_str!($file));
                let mut parts = PARTS.into_iter();
                out.push_sql(parts.next().unwrap_or_default());
                $(
                    out.push_bind_param::<$sql_type, _>(&self.$field)?;
                    out.push_sql(parts.next().unwrap_or_default());
                )*
                // From version 18 on, pg_stat_statements drops comments before a statement.
                out.push_sql(concat!("\n-- ", $file));
                Ok(())
            }
        }

        impl<Connection> diesel::RunQueryDsl<Connection> for $statement {}
    };
    ($(#[$attribute:meta])* $vis:vis struct $name:ident<$lifetime:lifetime> = $($rest:tt)*) => {
        $crate::statement! {
            @declare [$(#[$attribute])*] [$vis] [$name] [<$lifetime>] [$name<'_>] [$name<'static>] $($rest)*
        }
    };
    ($(#[$attribute:meta])* $vis:vis struct $name:ident = $($rest:tt)*) => {
        $crate::statement! { @declare [$(#[$attribute])*] [$vis] [$name] [] [$name] [$name] $($rest)* }
    };
}

/// Splits the SQL of `file` at its `N - 1` parameters. For [`statement!`](crate::statement), at compile time.
///
/// # Panics
///
/// When the file breaks a rule of [`statement!`](crate::statement). At compile time, a panic is a compile error.
#[must_use]
#[allow(clippy::panic, clippy::indexing_slicing, reason = "at compile time, a panic is a compile error")]
pub const fn parts<const N: usize>(file: &str, sql: &'static str) -> [&'static str; N] {
    assert!(
        begins_with_its_name(file.as_bytes(), sql.as_bytes()),
        "the first line must be `-- ` and the name of the file"
    );
    let mut parts = [""; N];
    let (mut rest, mut index) = (sql.trim_ascii_end(), 0);
    while index + 1 < N {
        index += 1;
        let dollar = next_dollar(rest);
        assert!(dollar < rest.len(), "the file has fewer parameters than the statement has fields");
        let (part, parameter) = rest.split_at(dollar);
        let (number, digits) = leading_number(parameter.split_at(1).1);
        assert!(number == index, "parameters must be $1 to $n, each once and in order");
        parts[index - 1] = part;
        rest = parameter.split_at(1 + digits).1;
    }
    assert!(next_dollar(rest) == rest.len(), "the file has a `$` beyond the statement's fields");
    parts[N - 1] = rest;
    parts
}

#[allow(clippy::indexing_slicing, reason = "every index is below a length that was checked")]
const fn begins_with_its_name(file: &[u8], sql: &[u8]) -> bool {
    let name = file.len().saturating_sub(".sql".len());
    if sql.len() <= 3 + name || sql[0] != b'-' || sql[1] != b'-' || sql[2] != b' ' || sql[3 + name] != b'\n' {
        return false;
    }
    let mut index = 0;
    while index < name && sql[3 + index] == file[index] {
        index += 1;
    }
    index == name
}

/// The index of the next `$`, or the length of the text.
#[allow(clippy::indexing_slicing, reason = "the index is below the length")]
const fn next_dollar(text: &str) -> usize {
    let (bytes, mut index) = (text.as_bytes(), 0);
    while index < bytes.len() && bytes[index] != b'$' {
        index += 1;
    }
    index
}

/// The number at the start of the text, and its number of digits.
#[allow(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "the index is below the length, and a digit fits usize"
)]
const fn leading_number(text: &str) -> (usize, usize) {
    let (bytes, mut number, mut digits) = (text.as_bytes(), 0, 0);
    while digits < bytes.len() && bytes[digits].is_ascii_digit() {
        number = number * 10 + (bytes[digits] - b'0') as usize;
        digits += 1;
    }
    (number, digits)
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn the_sql_is_split_at_its_parameters() {
        assert_eq!(parts("a.sql", "-- a\nSELECT 1\n"), ["-- a\nSELECT 1"]);
        let parts: [_; 11] = parts("a.sql", "-- a\n$1,$2,$3,$4,$5,$6,$7,$8,$9,$10 ü");
        assert_eq!((parts[0], parts[1], parts[10]), ("-- a\n", ",", " ü"));
    }

    #[test]
    #[should_panic(expected = "each once and in order")]
    fn parameters_out_of_order_are_refused() {
        let _: [_; 3] = parts("a.sql", "-- a\nSELECT $2, $1");
    }

    #[test]
    #[should_panic(expected = "each once and in order")]
    fn a_parameter_that_is_used_twice_is_refused() {
        let _: [_; 3] = parts("a.sql", "-- a\nSELECT $1, $1");
    }

    #[test]
    #[should_panic(expected = "fewer parameters")]
    fn a_missing_parameter_is_refused() {
        let _: [_; 3] = parts("a.sql", "-- a\nSELECT $1");
    }

    #[test]
    #[should_panic(expected = "beyond the statement's fields")]
    fn a_dollar_elsewhere_is_refused() {
        let _: [_; 2] = parts("a.sql", "-- a\nSELECT $1, $$text$$");
    }

    #[test]
    #[should_panic(expected = "each once and in order")]
    fn a_dollar_in_a_comment_is_refused() {
        let _: [_; 2] = parts("a.sql", "-- a\n-- costs $ 5\nSELECT $1");
    }

    #[test]
    #[should_panic(expected = "the name of the file")]
    fn a_file_must_begin_with_its_name() {
        let _: [_; 1] = parts("another.sql", "-- a\nSELECT 1");
    }
}
