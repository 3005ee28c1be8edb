//! Formats the fields of spans as JSON.

use std::fmt::{self, Debug};

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{FormatFields, Writer};

/// Enough for the fields of a request.
const CAPACITY: usize = 192;

/// The same fields as by the library's `JsonFields`, but written at once. The library builds a map of values for each
/// span, and every request has one.
pub(crate) struct SpanFields;

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        writer.write_str(&Object::of(&fields)?)
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let parse = |text: &str| serde_json::from_str::<Map<String, Value>>(text).map_err(|_| fmt::Error);
        let mut all = parse(&current.fields)?;
        all.extend(parse(&Object::of(fields)?)?);
        current.fields = Value::Object(all).to_string();
        Ok(())
    }
}

/// A JSON object that is being written.
struct Object(Vec<u8>);

impl Object {
    fn of(fields: &impl RecordFields) -> Result<String, fmt::Error> {
        let mut object = Self(Vec::with_capacity(CAPACITY));
        object.0.push(b'{');
        fields.record(&mut object);
        object.0.push(b'}');
        String::from_utf8(object.0).map_err(|_| fmt::Error)
    }

    fn add(&mut self, field: &Field, value: impl Serialize) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        let name = field.name();
        // Never fails: JSON can represent these values, and a vector takes all bytes.
        let _cannot_fail = serde_json::to_writer(&mut self.0, name.strip_prefix("r#").unwrap_or(name));
        self.0.push(b':');
        let _cannot_fail = serde_json::to_writer(&mut self.0, &value);
    }
}

impl Visit for Object {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::test_log::Log;

    /// The span of the only line.
    fn span(log: &Log) -> Value {
        let line: Value = serde_json::from_str(&log.text()).unwrap();
        line["span"].clone()
    }

    #[test]
    fn a_line_has_the_fields_of_its_span_as_with_the_library() {
        let (ours, theirs) = (Log::default(), Log::default());
        let subscriber = tracing_subscriber::registry()
            .with(fmt::layer().json().fmt_fields(SpanFields).with_writer(ours.clone()))
            .with(fmt::layer().json().with_writer(theirs.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!(
                "span",
                text = "a \"quoted\" \\ line\nwith \u{7} and é",
                none = None::<&str>,
                debug = ?Some("x"),
                display = %"y",
                flag = true,
                negative = -1,
                large = u64::MAX,
                ratio = 0.5,
                r#type = "raw",
                later = tracing::field::Empty,
            );
            // Without it the test would show nothing.
            assert!(!span.is_disabled());
            span.record("later", "\"added\"");
            span.in_scope(|| tracing::info!("here"));
        });
        assert_eq!(span(&ours), span(&theirs));
        assert_eq!(span(&ours)["later"], "\"added\"");
        assert_eq!(span(&ours)["type"], "raw");
    }
}
