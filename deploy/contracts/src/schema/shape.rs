//! A schema without the different ways to write the same: references, `allOf`, and `null`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::node::Node;

/// A schema and all that must hold with it.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    /// Where the schema is written, behind its references.
    pub(super) pointer: String,
    /// The schema itself, the target of its reference, and the members of `allOf`: all of them must hold.
    parts: Vec<Node<'a>>,
    /// The members of `oneOf` or `anyOf`, without `null`. One alternative is not an alternative: it is a part.
    pub(super) alternatives: Vec<Node<'a>>,
    /// Alternatives that are one value each: an enumeration whose values have descriptions.
    constants: Option<Vec<&'a Value>>,
    /// `null` is one of its alternatives.
    pub(super) is_nullable: bool,
    /// A reference leads nowhere, two parts have alternatives, or nothing is allowed: no rule can judge it.
    pub(super) is_unclear: bool,
}

impl<'a> Shape<'a> {
    /// `schemas` must all hold: there are several if parts of `allOf` say something about the same property.
    pub(super) fn new(schemas: &[Node<'a>]) -> Self {
        let first = schemas.first();
        let pointer = first.map(|schema| schema.resolve().unwrap_or_else(|| schema.clone()).pointer);
        let mut shape = Self {
            pointer: pointer.unwrap_or_default(),
            parts: Vec::new(),
            alternatives: Vec::new(),
            constants: None,
            is_nullable: false,
            is_unclear: false,
        };
        for schema in schemas {
            shape.add(schema, 0);
        }
        shape
    }

    /// Adds a schema that must hold too.
    fn add(&mut self, schema: &Node<'a>, depth: usize) {
        if depth > 16 {
            self.is_unclear = true;
            return;
        }
        if let Some(reference) = schema.value.get("$ref") {
            match schema.target(reference) {
                Some(target) => self.add(&target, depth + 1),
                None => self.is_unclear = true,
            }
        }
        for member in schema.child("allOf").elements() {
            self.add(&member, depth + 1);
        }
        for keyword in ["oneOf", "anyOf"] {
            self.add_alternatives(schema.child(keyword).elements().collect(), depth);
        }
        self.is_unclear |= schema.value == &Value::Bool(false);
        self.parts.push(schema.clone());
    }

    fn add_alternatives(&mut self, all: Vec<Node<'a>>, depth: usize) {
        let (null, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|schema| is_null(schema));
        self.is_nullable |= !null.is_empty();
        match others.as_slice() {
            [] => {}
            [only] => self.add(only, depth + 1),
            _ => {
                self.is_unclear |= !self.alternatives.is_empty() || self.constants.is_some();
                match others.iter().map(|schema| schema.value.get("const")).collect() {
                    Some(constants) => self.constants = Some(constants),
                    None => self.alternatives = others,
                }
            }
        }
    }

    /// The values of a keyword in all parts.
    pub(super) fn all(&self, keyword: &str) -> Vec<&'a Value> {
        self.parts.iter().filter_map(|part| part.value.get(keyword)).collect()
    }

    /// The first value of a keyword.
    pub(super) fn first(&self, keyword: &str) -> Option<&'a Value> {
        self.all(keyword).first().copied()
    }

    /// The schema of a keyword such as `items`. Absent, it allows everything.
    pub(super) fn child(&self, keyword: &str) -> Option<Node<'a>> {
        self.parts.iter().find_map(|part| part.get(keyword))
    }

    /// Where a keyword is written.
    pub(super) fn place(&self, keyword: &str) -> Option<String> {
        self.child(keyword).map(|node| node.pointer)
    }

    /// The names of all keywords.
    pub(super) fn keywords(&self) -> BTreeSet<&'a str> {
        self.parts.iter().flat_map(Node::members).map(|(name, _)| name).collect()
    }

    /// All schemas of a keyword such as `items`: each part may have one.
    pub(super) fn children(&self, keyword: &str) -> Vec<Node<'a>> {
        self.parts.iter().filter_map(|part| part.get(keyword)).collect()
    }

    /// The properties, each with all schemas that parts have for it.
    pub(super) fn properties(&self) -> BTreeMap<&'a str, Vec<Node<'a>>> {
        let mut properties = BTreeMap::<_, Vec<_>>::new();
        for (name, schema) in self.parts.iter().flat_map(|part| part.child("properties").members()) {
            properties.entry(name).or_default().push(schema);
        }
        properties
    }

    pub(super) fn required(&self) -> BTreeSet<&'a str> {
        self.all("required")
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// The allowed types; nothing if every type is allowed. In OpenAPI 3.0, `nullable` adds `null`.
    pub(super) fn types(&self) -> Option<BTreeSet<&'a str>> {
        let listed = self.all("type").into_iter().map(|types| match types {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect::<BTreeSet<_>>(),
        });
        let mut types =
            listed.reduce(|all, more| all.intersection(&more).copied().collect()).or_else(|| {
                let constants = self.constants.as_ref()?;
                Some(constants.iter().map(|constant| type_of(constant)).collect())
            })?;
        if self.is_nullable || self.first("nullable") == Some(&Value::Bool(true)) {
            types.insert("null");
        }
        Some(types)
    }

    pub(super) fn allows_null(&self) -> bool {
        self.is_nullable || self.types().is_some_and(|types| types.contains("null"))
    }

    /// The allowed values, from `enum` and `const`, without `null`; nothing if they are not listed.
    pub(super) fn values(&self) -> Option<Vec<&'a Value>> {
        let lists =
            self.all("enum").into_iter().filter_map(Value::as_array).map(|list| list.iter().collect());
        let constants =
            self.all("const").into_iter().map(|constant| vec![constant]).chain(self.constants.clone());
        let all = lists
            .chain(constants)
            .reduce(|all: Vec<_>, more| all.into_iter().filter(|value| more.contains(value)).collect())?;
        Some(all.into_iter().filter(|value| !value.is_null()).collect())
    }

    /// Whether the document says that its list of values may become longer.
    pub(super) fn has_open_values(&self) -> bool {
        self.first(OPEN) == Some(&Value::Bool(true))
    }
}

/// Set to `true` beside an `enum` of output: readers must expect further values.
const OPEN: &str = "x-open-enum";

fn is_null(schema: &Node<'_>) -> bool {
    schema.value.get("type").and_then(Value::as_str) == Some("null")
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
