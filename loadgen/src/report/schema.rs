//! The JSON schema of a report, made from the types. `schema/report.schema.json` is a copy that a
//! test holds to them.

use schemars::schema_for;

use super::model::Report;

/// The schema (JSON Schema 2020-12), as text with a line's end.
#[must_use]
pub fn schema() -> String {
    let schema = schema_for!(Report);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    text
}
