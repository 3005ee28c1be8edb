//! The data of an order that write-api received, and the detail that must show it.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use super::fleet::Build;

/// A field of an object; null if it is missing.
fn field(object: &Value, name: &str) -> Value {
    object.get(name).cloned().unwrap_or_default()
}

/// The text in a field of an object.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> Result<&'a str> {
    object.get(name).and_then(Value::as_str).with_context(|| format!("no {name}"))
}

/// An order as its client knows it.
#[derive(Debug)]
pub(super) struct Told {
    /// The expected detail.
    detail: Map<String, Value>,
    /// The build that received each step.
    steps: Vec<Build>,
}

impl Told {
    /// `placed` is the response to `request`.
    pub(super) fn new(request: &Value, placed: &Value) -> Result<Self> {
        let mut detail = placed.as_object().cloned().context("not an object")?;
        let unknown = [
            "carrier",
            "tracking_number",
            "cancel_reason",
            "paid_at",
            "shipped_at",
            "delivered_at",
            "cancelled_at",
        ];
        detail.extend(unknown.map(|field| (field.to_owned(), Value::Null)));
        detail.insert("updated_at".to_owned(), field(placed, "placed_at"));
        detail.insert("items".to_owned(), field(request, "items"));
        detail.insert("currency".to_owned(), field(request, "currency"));
        Ok(Self { detail, steps: Vec::new() })
    }

    /// A step with its details, its response, and the build that received it.
    pub(super) fn step(&mut self, details: &Value, response: &Value, build: Build) -> Result<()> {
        let status = text(response, "status")?;
        for name in ["status", "version", "updated_at"] {
            self.detail.insert(name.to_owned(), field(response, name));
        }
        self.detail.insert(format!("{status}_at"), field(response, "updated_at"));
        for (field, value) in details.as_object().into_iter().flatten() {
            let field = if field == "reason" { "cancel_reason" } else { field };
            self.detail.insert(field.to_owned(), value.clone());
        }
        self.steps.push(build);
        Ok(())
    }

    pub(super) fn was_told_to_both(&self) -> bool {
        [Build::Previous, Build::Current].iter().all(|build| self.steps.contains(build))
    }

    pub(super) fn id(&self) -> Result<&str> {
        self.text("order_id")
    }

    pub(super) fn customer(&self) -> Result<&str> {
        self.text("customer_id")
    }

    fn text(&self, name: &str) -> Result<&str> {
        self.detail.get(name).and_then(Value::as_str).with_context(|| format!("no {name}"))
    }

    /// # Errors
    ///
    /// If a field of the detail differs.
    pub(super) fn compare(&self, found: &Value) -> Result<()> {
        for (field, expected) in &self.detail {
            ensure!(found.get(field) == Some(expected), "{field} of {found} should be {expected}: {self:?}");
        }
        Ok(())
    }
}
