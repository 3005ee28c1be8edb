//! The mouse.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::browser::Browser;

/// A point in an element: its selector, and a share of its width; half of its height.
pub(crate) type Point<'a> = (&'a str, f64);

impl Browser {
    /// Presses the button at the first point, moves to the second one, and releases it.
    pub(crate) async fn drag(&self, from: Point<'_>, to: Point<'_>) -> Result<()> {
        let (from, to) = (self.locate(from).await?, self.locate(to).await?);
        self.mouse(json!([moved(from), down(), moved(to), up()])).await
    }

    /// Clicks this many times without a pause.
    pub(crate) async fn click_at(&self, point: Point<'_>, times: usize) -> Result<()> {
        let clicks = std::iter::repeat_n([down(), up()], times).flatten();
        let first = moved(self.locate(point).await?);
        self.mouse(std::iter::once(first).chain(clicks).collect()).await
    }

    /// The selected text.
    pub(crate) async fn selection(&self) -> Result<String> {
        let text = self.run("return getSelection().toString()").await?;
        Ok(text.as_str().context("no text")?.trim().to_owned())
    }

    async fn mouse(&self, actions: Value) -> Result<()> {
        let mouse = json!({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"},
            "actions": actions});
        self.command("actions", json!({ "actions": [mouse] })).await.map(drop)
    }

    async fn locate(&self, (selector, share): Point<'_>) -> Result<(i64, i64)> {
        let script = format!(
            "const {{ left, top, width, height }} = document.querySelector({}).getBoundingClientRect();
            return [Math.round(left + {share} * width), Math.round(top + height / 2)]",
            json!(selector)
        );
        Ok(serde_json::from_value(self.run(&script).await?)?)
    }
}

fn moved((x, y): (i64, i64)) -> Value {
    json!({"type": "pointerMove", "x": x, "y": y, "duration": 50})
}

fn down() -> Value {
    json!({"type": "pointerDown", "button": 0})
}

fn up() -> Value {
    json!({"type": "pointerUp", "button": 0})
}
