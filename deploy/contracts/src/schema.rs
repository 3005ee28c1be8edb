//! The rules for schemas: JSON Schema as OpenAPI 3.1 and our documents use it.

mod limits;
mod shape;
mod values;

use std::collections::BTreeSet;
use std::slice;

use serde_json::Value;

use crate::comparison::{Comparison, Direction};
use crate::node::Node;
use crate::rule::Rule;
use shape::Shape;

/// Keywords that the rules know, and those that only describe.
const KNOWN: &[&str] = &[
    "$ref",
    "$defs",
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "example",
    "examples",
    "deprecated",
    "externalDocs",
    "xml",
    "type",
    "nullable",
    "enum",
    "const",
    "format",
    "default",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "allOf",
    "oneOf",
    "anyOf",
];

/// A schema of the baseline, the present one in its place, and how to speak of both.
struct Pair<'a> {
    old: Shape<'a>,
    new: Shape<'a>,
    direction: Direction,
    /// The field, parameter or header that has these schemas.
    name: &'a str,
}

impl Comparison {
    /// Compares the schemas of `name`.
    pub(crate) fn schema(&mut self, old: &Node<'_>, new: &Node<'_>, direction: Direction, name: &str) {
        self.schemas(slice::from_ref(old), slice::from_ref(new), direction, name);
    }

    /// Compares the schemas of `name`, of which all must hold.
    fn schemas(&mut self, old: &[Node<'_>], new: &[Node<'_>], direction: Direction, name: &str) {
        if !self.is_new(old, new, direction) {
            return;
        }
        let pair = Pair { old: Shape::new(old), new: Shape::new(new), direction, name };
        let is_unclear = pair.old.is_unclear || pair.new.is_unclear;
        match (pair.old.alternatives.as_slice(), pair.new.alternatives.as_slice()) {
            _ if is_unclear => {
                if !old.iter().map(|node| node.value).eq(new.iter().map(|node| node.value)) {
                    self.add(Rule::UnknownKeywordChanged, &pair.old.pointer, name);
                }
            }
            ([], []) => self.keywords(&pair),
            ([], alternatives) if old.len() == 1 => self.alternatives(&pair, old, alternatives),
            (alternatives, []) if new.len() == 1 => self.alternatives(&pair, alternatives, new),
            ([], _) | (_, []) => self.add(Rule::UnknownKeywordChanged, &pair.old.pointer, name),
            (old, new) => {
                self.keywords(&pair);
                self.alternatives(&pair, old, new);
            }
        }
    }

    fn keywords(&mut self, pair: &Pair<'_>) {
        if !self.types(pair) {
            return;
        }
        self.format(pair);
        self.values(pair);
        self.limits(pair);
        self.default(pair);
        self.properties(pair);
        self.further_properties(pair);
        self.items(pair);
        self.unknown_keywords(pair);
    }

    fn add_for(&mut self, pair: &Pair<'_>, rule: Rule, keyword: &str) {
        let place = pair.old.place(keyword).or_else(|| pair.new.place(keyword));
        let place = place.unwrap_or_else(|| format!("{}/{keyword}", pair.old.pointer));
        self.add(rule, &place, pair.name);
    }

    /// Whether the types fit, so that the rest can be compared.
    fn types(&mut self, pair: &Pair<'_>) -> bool {
        let (sent, read) = pair.direction.sender_receiver(pair.old.types(), pair.new.types());
        let Some(read) = read else { return true };
        let fits = |kind: &&str| read.contains(kind) || *kind == "integer" && read.contains("number");
        let Some(sent) = sent else {
            self.add_for(pair, Rule::TypeChanged, "type");
            return false;
        };
        let unfit: Vec<_> = sent.iter().copied().filter(|kind| !fits(kind)).collect();
        let (sender, _) = pair.direction.sender_receiver(&pair.old, &pair.new);
        match unfit.as_slice() {
            [] => {}
            ["null"] if sender.is_nullable => self.add(Rule::TypeChanged, &sender.pointer, pair.name),
            _ => self.add_for(pair, Rule::TypeChanged, "type"),
        }
        sent.iter().any(|kind| *kind != "null" && fits(kind))
    }

    fn format(&mut self, pair: &Pair<'_>) {
        let (old, new) = (pair.old.first("format"), pair.new.first("format"));
        let (sent, read) = pair.direction.sender_receiver(old, new);
        let is_wider =
            sent.and_then(Value::as_str) == Some("int32") && read.and_then(Value::as_str) == Some("int64");
        if read.is_some() && sent != read && !is_wider {
            self.add_for(pair, Rule::FormatChanged, "format");
        }
    }

    fn properties(&mut self, pair: &Pair<'_>) {
        let (old, new) = (pair.old.properties(), pair.new.properties());
        let place =
            |schemas: &[Node<'_>]| schemas.first().map_or_else(String::new, |node| node.pointer.clone());
        for (name, schemas) in &old {
            if let Some(present) = new.get(name) {
                self.schemas(schemas, present, pair.direction, name);
            } else {
                let rule = pair.direction.choose(Rule::InputFieldRemoved, Rule::OutputFieldRemoved);
                self.add(rule, &place(schemas), name);
            }
        }
        let (sent, read) = pair.direction.sender_receiver(pair.old.required(), pair.new.required());
        for name in read.difference(&sent) {
            let (rule, schemas) = match pair.direction {
                Direction::Input => (Rule::InputFieldRequired, new.get(name).or(old.get(name))),
                Direction::Output if !new.contains_key(name) => continue,
                Direction::Output => (Rule::OutputFieldOptional, old.get(name)),
            };
            let pointer =
                schemas.map_or_else(|| format!("{}/required", pair.old.pointer), |schemas| place(schemas));
            self.add(rule, &pointer, name);
        }
    }

    /// `additionalProperties`. Readers ignore fields that they do not know: in output, only the schema of a map counts.
    fn further_properties(&mut self, pair: &Pair<'_>) {
        let keyword = "additionalProperties";
        let (old, new) = (pair.old.child(keyword), pair.new.child(keyword));
        let is_schema = |node: &Option<Node<'_>>| node.as_ref().is_some_and(|node| node.value.is_object());
        let is_closed =
            |node: &Option<Node<'_>>| node.as_ref().is_some_and(|node| node.value == &Value::Bool(false));
        if let (Some(old), Some(new), true) = (&old, &new, is_schema(&old) && is_schema(&new)) {
            return self.schema(old, new, pair.direction, pair.name);
        }
        match pair.direction {
            Direction::Input if !is_closed(&old) && (is_closed(&new) || is_schema(&new)) => {
                self.add_for(pair, Rule::InputObjectClosed, keyword);
            }
            Direction::Output if is_schema(&old) && !is_closed(&new) => {
                self.add_for(pair, Rule::TypeChanged, keyword);
            }
            _ => {}
        }
    }

    fn items(&mut self, pair: &Pair<'_>) {
        let (old, new) = (pair.old.children("items"), pair.new.children("items"));
        if !old.is_empty() && !new.is_empty() {
            return self.schemas(&old, &new, pair.direction, pair.name);
        }
        let (sent, read) = pair.direction.sender_receiver(old, new);
        if sent.is_empty() && !read.is_empty() {
            self.add_for(pair, Rule::TypeChanged, "items");
        }
    }

    /// Each alternative of the sender must be right for one of the receiver.
    fn alternatives(&mut self, pair: &Pair<'_>, old: &[Node<'_>], new: &[Node<'_>]) {
        let (sent, read) = pair.direction.sender_receiver(&pair.old, &pair.new);
        if sent.allows_null() && !read.allows_null() {
            self.add_for(pair, Rule::TypeChanged, "oneOf");
        }
        let (sent, read) = pair.direction.sender_receiver(old, new);
        for (index, alternative) in sent.iter().enumerate() {
            let fits = |other: &Node<'_>| {
                let (old, new) = pair.direction.sender_receiver(alternative, other);
                let mut trial = self.trial();
                trial.schema(old, new, pair.direction, pair.name);
                trial.is_compatible()
            };
            if read.iter().any(fits) {
                continue;
            }
            match read.get(index).filter(|_| sent.len() == read.len()) {
                Some(other) => {
                    let (old, new) = pair.direction.sender_receiver(alternative, other);
                    self.schema(old, new, pair.direction, pair.name);
                }
                None => self.add(Rule::AlternativesChanged, &alternative.pointer, pair.name),
            }
        }
    }

    fn unknown_keywords(&mut self, pair: &Pair<'_>) {
        let names: BTreeSet<_> = pair.old.keywords().union(&pair.new.keywords()).copied().collect();
        let is_known = |name: &str| KNOWN.contains(&name) || limits::is_limit(name) || name.starts_with("x-");
        for name in names.into_iter().filter(|name| !is_known(name)) {
            if pair.old.all(name) != pair.new.all(name) {
                self.add_for(pair, Rule::UnknownKeywordChanged, name);
            }
        }
    }
}
