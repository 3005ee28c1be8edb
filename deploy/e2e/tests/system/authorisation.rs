//! Every operation with every kind of token, as docs/authorisation.md lists them; and the worked path of
//! docs/authentication.md.

#![allow(clippy::indexing_slicing, reason = "Indexing a JSON value gives null if there is nothing.")]

mod callers;
mod documented_path;
mod operations;
mod scene;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use reqwest::{Response, StatusCode};

use self::callers::{Caller, Column};
use self::operations::Operation;
use self::scene::Scene;

const DOCUMENT: &str = "docs/authorisation.md";

fn challenge(response: &Response) -> Option<&str> {
    response.headers().get("www-authenticate")?.to_str().ok()
}

/// The status that this caller gets.
async fn status(scene: &Scene, operation: &Operation, caller: &Caller) -> Result<StatusCode> {
    let response = scene.request(operation, caller)?.send().await?;
    let status = response.status();
    let challenge = challenge(&response).unwrap_or_default();
    let is_challenged = match status {
        StatusCode::UNAUTHORIZED => challenge == "Bearer",
        StatusCode::FORBIDDEN => challenge.contains("insufficient_scope") && challenge.contains("scope=\""),
        _ => challenge.is_empty(),
    };
    ensure!(is_challenged, "{operation} with {caller:?}: {status} {challenge:?}");
    Ok(status)
}

/// The status that all callers of a column get.
async fn cell(scene: &Scene, operation: &Operation, column: &Column) -> Result<StatusCode> {
    let mut statuses = BTreeSet::new();
    for caller in &column.callers {
        statuses.insert(status(scene, operation, caller).await?);
    }
    ensure!(statuses.len() == 1, "{operation}, {}: {statuses:?}", column.title);
    statuses.pop_first().context("no caller")
}

/// The statuses of a row.
type Row = Vec<StatusCode>;

async fn rows(scene: &Scene, operations: &[Operation], columns: &[Column]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for operation in operations {
        let mut row = Vec::new();
        for column in columns {
            row.push(cell(scene, operation, column).await?);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The table as Markdown.
fn table(operations: &[Operation], columns: &[Column], rows: &[Row]) -> String {
    let titles: Vec<_> = columns.iter().map(|column| column.title.as_str()).collect();
    let mut lines = vec![
        format!("| Operation | {} |", titles.join(" | ")),
        format!("|---|{}", "---|".repeat(columns.len())),
    ];
    for (operation, row) in operations.iter().zip(rows) {
        let statuses: Vec<_> = row.iter().map(|status| status.as_str().to_owned()).collect();
        lines.push(format!("| `{operation}` | {} |", statuses.join(" | ")));
    }
    lines.join("\n")
}

/// The scopes that alone are enough for an operation, without a customer claim or with that of the customer.
fn enough(columns: &[Column], row: &Row) -> BTreeSet<String> {
    let allowed = columns.iter().zip(row).filter(|(_, status)| !is_refused(**status));
    let callers = allowed.flat_map(|(column, _)| &column.callers).filter(|caller| caller.scopes.len() == 1);
    callers.flat_map(|caller| caller.scopes.iter().map(|scope| (*scope).to_owned())).collect()
}

fn is_refused(status: StatusCode) -> bool {
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&status)
}

#[tokio::test]
async fn every_operation_gives_every_token_what_the_documents_say() -> Result<()> {
    let scene = Scene::start().await?;
    let operations = scene.operations().await?;
    let tables = [callers::without_a_customer(), callers::with_a_customer()];
    let mut enough_of = vec![BTreeSet::new(); operations.len()];
    let mut expected = Vec::new();
    for columns in &tables {
        let rows = rows(&scene, &operations, columns).await?;
        for (found, row) in enough_of.iter_mut().zip(&rows) {
            found.extend(enough(columns, row));
        }
        expected.push(table(&operations, columns, &rows));
    }
    for (operation, enough) in operations.iter().zip(&enough_of) {
        assert_eq!(&operation.scopes, enough, "`security` of {operation}, and what is enough");
    }
    let document = std::fs::read_to_string(scene::root().join(DOCUMENT))?;
    let has_each = expected.iter().all(|table| document.contains(&format!("\n\n{table}\n\n")));
    let has_no_other = document.matches("\n| Operation |").count() == expected.len();
    assert!(has_each && has_no_other, "{DOCUMENT} must have these tables:\n\n{}", expected.join("\n\n"));
    Ok(())
}

#[tokio::test]
async fn each_operation_documents_its_refusals_and_the_request_id() -> Result<()> {
    let scene = Scene::start().await?;
    for operation in scene.operations().await? {
        let responses = &operation.document["responses"];
        for status in ["400", "401", "403", "503"] {
            assert!(responses[status].is_object(), "{operation} lists no {status}");
        }
        for status in ["401", "403"] {
            assert!(responses[status]["headers"]["WWW-Authenticate"].is_object(), "{operation}, {status}");
        }
        let request = scene.request(&operation, &Caller::NOBODY)?.header("X-Request-Id", "documented");
        let response = request.send().await?;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{operation}");
        let id = response.headers().get("x-request-id").map(reqwest::header::HeaderValue::as_bytes);
        assert_eq!(id, Some("documented".as_bytes()), "{operation}");
    }
    Ok(())
}
