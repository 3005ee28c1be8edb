//! A small API with all that the rules look at.

use serde_json::{Value, json};

/// An OpenAPI document.
pub(super) fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Things", "version": "1.0.0"},
        "servers": [{"url": "https://things.example"}],
        "paths": {
            "/things": {"get": list(), "post": create()},
            "/things/{id}": {
                "parameters": [
                    {"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}},
                ],
                "delete": {
                    "security": [{"key": []}, {"oauth": ["write"]}],
                    "responses": {"204": {"description": "Gone."}},
                },
            },
        },
        "components": {
            "schemas": {"NewThing": new_thing(), "Part": part(), "Thing": thing()},
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
                "oauth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
    })
}

fn list() -> Value {
    json!({
        "summary": "Lists things",
        "parameters": [
            {"name": "limit", "in": "query", "required": false, "schema": {
                "type": "integer", "format": "int64", "minimum": 1, "maximum": 100, "default": 20,
            }},
            {"name": "colour", "in": "query", "schema": {
                "type": "array", "maxItems": 5, "items": {"type": "string", "enum": ["red", "blue"]},
            }},
            {"name": "If-Match", "in": "header", "schema": {"type": "string", "maxLength": 9}},
        ],
        "responses": {"200": {
            "description": "Some of them.",
            "headers": {
                "ETag": {"required": true, "schema": {"type": "string"}},
                "Age": {"schema": {"type": "integer", "format": "int32"}},
            },
            "content": {
                "application/json": {"schema": {
                    "type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/Thing"},
                }},
                "text/csv": {},
            },
        }},
    })
}

fn create() -> Value {
    let problem = json!({
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"type": "string", "enum": ["/problems/a", "/problems/b"], "x-open-enum": true}},
    });
    json!({
        "requestBody": {
            "required": false,
            "content": {
                "application/json": {"schema": {"oneOf": [
                    {"type": "null"}, {"$ref": "#/components/schemas/NewThing"},
                ]}},
                "application/cbor": {"schema": {"$ref": "#/components/schemas/NewThing"}},
            },
        },
        "responses": {
            "201": {"description": "Made.", "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}},
            }},
            "400": {"description": "Refused.", "content": {"application/problem+json": {"schema": problem}}},
        },
    })
}

/// Input.
fn new_thing() -> Value {
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z]+$"},
            "note": {"type": ["string", "null"], "default": "none"},
            "colour": {"type": ["string", "null"], "enum": ["red", "blue", null]},
            "weight": {"type": "number", "exclusiveMinimum": 0, "maximum": 9_007_199_254_740_991_i64},
            "parts": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Part"}},
            "shape": {"oneOf": [
                {"type": "object", "required": ["radius"], "properties": {"radius": {"type": "integer"}}},
                {"type": "object", "required": ["side"], "properties": {"side": {"type": "integer"}}},
            ]},
            "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 9}},
        },
        "additionalProperties": true,
    })
}

/// Input and output.
fn part() -> Value {
    json!({
        "type": "object",
        "required": ["sku"],
        "properties": {"sku": {"type": "string"}, "count": {"type": "integer", "format": "int32", "const": 1}},
    })
}

/// Output.
fn thing() -> Value {
    json!({
        "type": "object",
        "required": ["id", "name", "made_at", "state", "count"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "name": {"type": "string", "maxLength": 64, "pattern": "^[a-z]+$"},
            "nickname": {"type": "string"},
            "made_at": {"type": "string", "format": "date-time"},
            "state": {"oneOf": [{"const": "new", "description": "Made."}, {"const": "old", "description": "Used."}]},
            "count": {"type": "integer", "format": "int32", "minimum": 0},
            "ratio": {"type": "number"},
            "parent": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Thing"}]},
            "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 9}},
            "owner": {"allOf": [
                {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
                {"type": "object", "required": ["email"], "properties": {"email": {"type": "string"}}},
                {"properties": {"email": {"maxLength": 99}}},
            ]},
            "origin": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Part"}},
            "anything": {},
        },
    })
}
