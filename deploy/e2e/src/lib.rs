//! Tests of the whole system: layering, the real services together, and the pages in a real browser. All of it is in
//! `tests/`.
