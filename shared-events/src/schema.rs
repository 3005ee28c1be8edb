//! The JSON Schema of the events: what readers may rely on, in the events of all builds.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::wire::Payload;
use crate::{OrderChange, OrderEvent, OrderFacts, SCHEMA_VERSION};

const DESCRIPTION: &str = "The schema of a payload is `#/$defs/<kind>`. Ignore fields that you do not know, and expect \
    further kinds. An event of an older build may lack each field that is not required.";

/// The schemas of all kinds, in one document: `#/$defs/<kind>` is that of a payload.
#[must_use]
pub fn schema() -> Value {
    let mut payload = root::<Payload<'_>>();
    let mut definitions = take_object(&mut payload, "$defs");
    let fields = fields(take_object(&mut payload, "properties"));
    // The fields that every build has written. Everything else is a fact.
    let required = payload.remove("required").unwrap_or_default();
    definitions
        .insert("Event".to_owned(), json!({"type": "object", "properties": fields, "required": required}));
    let kinds = OrderChange::ALL.map(OrderChange::kind);
    for (change, description) in OrderChange::ALL.into_iter().zip(descriptions_of_kinds()) {
        let mut kind =
            json!({"$ref": reference("Event"), "title": change.kind(), "description": description});
        if let (Value::Object(kind), OrderChange::Placed) = (&mut kind, change) {
            // As in `decode`.
            kind.insert("required".to_owned(), json!(["items"]));
        }
        definitions.insert(change.kind().to_owned(), kind);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Events of orders",
        "description": DESCRIPTION,
        "anyOf": kinds.map(|kind| json!({"$ref": reference(kind)})),
        "$defs": definitions,
    })
}

/// The fields of a payload, with the descriptions of [`OrderEvent`] and [`OrderFacts`].
fn fields(mut fields: Map<String, Value>) -> Map<String, Value> {
    let event = take_object(&mut root::<OrderEvent>(), "properties");
    let mut facts = take_object(&mut root::<OrderFacts>(), "properties");
    if let Some(reason) = facts.remove("cancel_reason") {
        facts.insert("reason".to_owned(), reason);
    }
    for (name, mut documented) in event.into_iter().chain(facts) {
        let (field, documented) = (fields.get_mut(&name), documented.as_object_mut());
        let (Some(Value::Object(field)), Some(documented)) = (field, documented) else { continue };
        if let Some(description) = documented.remove("description") {
            field.insert("description".to_owned(), description);
        }
        // A field without a value is absent, never `null`.
        if let Some([kind, null]) = field.get("type").and_then(Value::as_array).map(Vec::as_slice)
            && null == "null"
        {
            let kind = kind.clone();
            field.insert("type".to_owned(), kind);
        }
    }
    fields.insert("schema_version".to_owned(), json!({"type": "integer", "const": SCHEMA_VERSION}));
    fields
}

/// The comments on the variants of [`OrderChange`], in the sequence of [`OrderChange::ALL`].
fn descriptions_of_kinds() -> Vec<Value> {
    let variants = root::<OrderChange>().remove("oneOf");
    let variants = variants.as_ref().and_then(Value::as_array).into_iter().flatten();
    variants.map(|variant| variant.get("description").cloned().unwrap_or_default()).collect()
}

fn root<T: JsonSchema>() -> Map<String, Value> {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    match generator.into_root_schema_for::<T>().to_value() {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

fn take_object(schema: &mut Map<String, Value>, member: &str) -> Map<String, Value> {
    match schema.remove(member) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

fn reference(definition: &str) -> String {
    format!("#/$defs/{definition}")
}
