//! No data of an order is lost: every field that a write accepts is returned by a read.

#![allow(clippy::indexing_slicing, reason = "Indexing a JSON value gives null if there is nothing.")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::wait;

use crate::support::System;

const SOON: Duration = Duration::from_secs(15);

const SHIPPED: &str = "0193a0c0-5f6e-7c1a-9d7e-0000000000a1";
const CANCELLED: &str = "0193a0c0-5f6e-7c1a-9d7e-0000000000a2";

/// Fields that a read returns under another name: path of the write, field, field of the read.
const RENAMED: [(&str, &str, &str); 1] = [("/orders/{order_id}/cancel", "reason", "cancel_reason")];

/// The read's name of this field of a write.
fn name_in_read<'a>(path: &str, field: &'a str) -> &'a str {
    let renamed = RENAMED.iter().find(|(of, name, _)| (*of, *name) == (path, field));
    renamed.map_or(field, |(_, _, name)| name)
}

/// A value for each field that a write may have.
fn value_of(field: &str, order_id: &str) -> Result<Value> {
    Ok(match field {
        "order_id" => json!(order_id),
        "customer_id" => json!("alice"),
        "currency" => json!("JPY"),
        "items" => json!([
            {"sku": "TEA", "quantity": 2, "price_cents": 450},
            {"sku": "POT é \"1\"", "quantity": 1, "price_cents": 0},
        ]),
        "carrier" => json!("DHL é"),
        "tracking_number" => json!("00340434161094015902"),
        "reason" => json!("out of stock: \"TEA\" – sorry"),
        _ => anyhow::bail!("a new field `{field}`: add a value, and return it in GET /orders/{{order_id}}"),
    })
}

async fn document(service: &Service) -> Result<Value> {
    Ok(reqwest::get(format!("{}/openapi.json", service.url())).await?.error_for_status()?.json().await?)
}

/// Follows `$ref`, and the one alternative to `null`.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(target) = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#')) {
        return document.pointer(target).map_or(&Value::Null, |schema| resolve(document, schema));
    }
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    { alternatives }
        .find(|alternative| alternative["type"] != "null")
        .map_or(schema, |alternative| resolve(document, alternative))
}

/// The names of the properties of a schema, and of the items of arrays in it, as `items.sku`.
fn fields(document: &Value, schema: &Value) -> Vec<String> {
    let properties = resolve(document, schema)["properties"].as_object();
    let mut found = Vec::new();
    for (name, schema) in properties.into_iter().flatten() {
        let inner = fields(document, &resolve(document, schema)["items"]);
        found.extend(inner.into_iter().map(|inner| format!("{name}.{inner}")));
        found.push(name.clone());
    }
    found
}

fn request_schema<'a>(document: &'a Value, path: &str) -> &'a Value {
    &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
}

/// The fields that are accepted by each write with a body: path and field.
fn accepted(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, _)| {
            let fields = fields(document, request_schema(document, path));
            fields.into_iter().map(|field| (path.clone(), field))
        })
        .collect()
}

/// A body with every field that the write accepts.
fn whole_body(document: &Value, path: &str, order_id: &str) -> Result<Value> {
    let fields = fields(document, request_schema(document, path)).into_iter();
    let top = fields.filter(|field| !field.contains('.'));
    let body: Result<Map<_, _>> = top.map(|field| Ok((field.clone(), value_of(&field, order_id)?))).collect();
    Ok(Value::Object(body?))
}

async fn post(write: &Service, path: &str, body: &Value) -> Result<StatusCode> {
    let request = reqwest::Client::new().post(format!("{}{path}", write.url())).json(body);
    Ok(request.send().await?.status())
}

async fn restart_killed(system: &mut System, projector: &mut Service) -> Result<()> {
    system.kill_and_restart_write_api().await?;
    let new = system.start_projector().await?;
    std::mem::replace(projector, new).kill();
    Ok(())
}

/// The order as read-api shows it, once it has this version and is complete, which its `ETag` says.
async fn detail(system: &System, order_id: &str, version: i32) -> Result<Value> {
    let url = format!("{}/orders/{order_id}", system.read.url());
    let etag = format!("\"{version}\"");
    let shown = wait::until("the whole order", SOON, || async {
        let response = reqwest::get(&url).await.map_err(|error| error.to_string())?;
        let is_whole = response.headers().get("etag").is_some_and(|found| found == etag.as_str());
        let body = response.text().await.map_err(|error| error.to_string())?;
        if is_whole { Ok(body) } else { Err(body) }
    });
    Ok(serde_json::from_str(&shown.await?)?)
}

/// Checks that both orders show every value of their writes, and the times of their steps.
async fn check_values(system: &System, writes: &Value) -> Result<()> {
    for (order_id, version, paths, steps) in [
        (
            SHIPPED,
            4,
            ["/orders", "/orders/{order_id}/ship"],
            ["paid_at", "shipped_at", "delivered_at"].as_slice(),
        ),
        (CANCELLED, 3, ["/orders", "/orders/{order_id}/cancel"], &["paid_at", "cancelled_at"]),
    ] {
        let shown = detail(system, order_id, version).await?;
        for path in paths {
            for (field, value) in whole_body(writes, path, order_id)?.as_object().into_iter().flatten() {
                assert_eq!(&shown[name_in_read(path, field)], value, "{path} {field}: {shown}");
            }
        }
        for step in steps.iter().chain(&["placed_at", "updated_at"]) {
            assert!(shown[*step].is_string(), "{step}: {shown}");
        }
        let list = format!("{}/customers/alice/orders", system.read.url());
        let list: Value = reqwest::get(list).await?.error_for_status()?.json().await?;
        assert_eq!(list["orders"][0]["currency"], value_of("currency", order_id)?, "{list}");
    }
    Ok(())
}

#[tokio::test]
async fn every_field_that_a_write_accepts_is_documented_in_a_read() -> Result<()> {
    let system = System::start().await?;
    let (writes, reads) = (document(&system.write).await?, document(&system.read).await?);
    let order =
        &reads["paths"]["/orders/{order_id}"]["get"]["responses"]["200"]["content"]["application/json"];
    let returned = fields(&reads, &order["schema"]);
    let accepted = accepted(&writes);
    for (path, field) in &accepted {
        let name = name_in_read(path, field);
        assert!(
            returned.iter().any(|returned| returned == name),
            "{path} accepts {field}, no read returns {name}"
        );
    }
    // So that a document that cannot be read does not pass.
    for field in ["customer_id", "currency", "items.sku", "carrier", "tracking_number", "reason"] {
        assert!(accepted.iter().any(|(_, accepted)| accepted == field), "{field} is missing in {accepted:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_value_of_a_write_is_returned_after_crashes_and_after_republish_into_an_empty_table()
-> Result<()> {
    let mut system = System::start().await?;
    let writes = document(&system.write).await?;
    let mut projector = system.start_projector().await?;
    for order_id in [SHIPPED, CANCELLED] {
        let body = whole_body(&writes, "/orders", order_id)?;
        ensure!(post(&system.write, "/orders", &body).await? == StatusCode::CREATED, "{body}");
    }
    for (order_id, step) in
        [(SHIPPED, "pay"), (CANCELLED, "pay"), (SHIPPED, "ship"), (CANCELLED, "cancel"), (SHIPPED, "deliver")]
    {
        restart_killed(&mut system, &mut projector).await?;
        let body = whole_body(&writes, &format!("/orders/{{order_id}}/{step}"), order_id)?;
        let status = post(&system.write, &format!("/orders/{order_id}/{step}"), &body).await?;
        ensure!(status == StatusCode::OK, "{step} {body}: {status}");
    }
    restart_killed(&mut system, &mut projector).await?;
    check_values(&system, &writes).await.context("after crashes")?;

    system.database.connect().await?.batch_execute("TRUNCATE order_summary").await?;
    let program = ServiceBinaries::built().await?.program(ServiceKind::WriteApi);
    let mut republish = tokio::process::Command::new(program);
    republish.arg("republish").env("DATABASE_URL", system.database.url("orders_write_api"));
    let republished = republish.output().await?;
    ensure!(republished.status.success(), "{}", String::from_utf8_lossy(&republished.stderr));
    check_values(&system, &writes).await.context("after republish")
}
