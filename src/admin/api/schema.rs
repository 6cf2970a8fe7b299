//! JSON Schema of what is read and written by hand, and of texts that have rules: beside `derive(JsonSchema)` of everything else.
//!
//! A schema says what the server takes, no more and no less; what it can't say (names must exist, shares sum to 100) is refused with 400 and a fault each.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::model::{GuardKind, PolicyForm};

use super::{Shares, Span, Time, UndoTo};

/// Longest reason, in characters: it is kept with each of a thousand past changes.
pub const REASON_MAX: usize = 1_000;
/// Longest name of a token, and of a glob that limits it.
pub const TOKEN_NAME_MAX: usize = 64;
/// Most globs of one token.
pub const TOKEN_SERVICES_MAX: usize = 64;

/// A length of time that is not nothing, in the common units; `humantime`'s other spellings are taken, too.
const SPAN: &str = "^[1-9][0-9]{0,5} ?(ms|s|sec|m|min|h|hours|d|days)( [1-9][0-9]{0,5} ?(ms|s|sec|m|min|h|hours|d|days)){0,3}$";

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "description": "RFC 3339 in UTC, with milliseconds." })
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// What is sent must be more than nothing; what is told may be nothing, and long.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({ "type": "string", "examples": ["1m 30s"] });
        if generator.contract().is_deserialize() {
            schema.insert("pattern".into(), SPAN.into());
        }
        schema
    }
}

impl JsonSchema for Shares {
    fn schema_name() -> Cow<'static, str> {
        "Shares".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Per cent by pool, in file order.",
            "additionalProperties": { "type": "number", "minimum": 0, "maximum": 100 },
        })
    }
}

impl JsonSchema for UndoTo {
    fn schema_name() -> Cow<'static, str> {
        "UndoTo".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`file`: the file's policy; a number: what that revision had set.",
            "anyOf": [{ "const": "file" }, { "type": "integer", "minimum": 0, "maximum": u64::MAX }],
        })
    }
}

impl JsonSchema for PolicyForm {
    fn schema_name() -> Cow<'static, str> {
        "Policy".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = json_schema!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "uniqueItems": true });
        let shares = json_schema!({ "type": "object", "additionalProperties": { "type": "number", "minimum": 0, "maximum": 100 }, "minProperties": 1 });
        let form = |word: &str, children: Schema| {
            json_schema!({
                "type": "object",
                "properties": { word: children, "min_up": { "type": "integer", "minimum": 1, "maximum": u32::MAX } },
                "required": [word],
                "additionalProperties": false,
            })
        };
        let weighted = json_schema!({ "anyOf": [shares, names] });
        json_schema!({
            "description": "How one of its children answers: pools, or named policies. A name alone means a failover of one; a list of `weighted` means equal shares. Shares sum to 100.",
            "anyOf": [{ "type": "string" }, form("failover", names.clone()), form("multivalue", names), form("weighted", weighted)],
        })
    }
}

/// One line of at most [`REASON_MAX`] characters.
pub(super) fn reason(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": REASON_MAX, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$" })
}

/// Guards that may be overridden.
pub(super) fn guards(_: &mut SchemaGenerator) -> Schema {
    let words: Vec<&str> = GuardKind::ALL.into_iter().filter(|kind| *kind != GuardKind::RequireReason).map(GuardKind::word).collect();
    json_schema!({ "type": "array", "items": { "enum": words } })
}

/// The same by comma, for a query string.
pub(super) fn guard_list(_: &mut SchemaGenerator) -> Schema {
    let words: Vec<&str> = GuardKind::ALL.into_iter().filter(|kind| *kind != GuardKind::RequireReason).map(GuardKind::word).collect();
    let one = words.join("|");
    json_schema!({ "type": "string", "pattern": format!("^({one})(,({one}))*$") })
}

/// A moment ahead, as people write it.
pub(super) fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "examples": ["2026-11-21T22:00:00Z", "+30m", "22:00"] })
}

/// A name for a token.
pub(super) fn token_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": format!("^[A-Za-z0-9._-]{{1,{TOKEN_NAME_MAX}}}$") })
}

/// What limits a token.
pub(super) fn token_services(_: &mut SchemaGenerator) -> Schema {
    let glob = json_schema!({ "type": "string", "pattern": format!("^[A-Za-z0-9._*-]{{1,{TOKEN_NAME_MAX}}}$") });
    json_schema!({ "type": "array", "items": glob, "maxItems": TOKEN_SERVICES_MAX })
}

/// A monitor: its name, or its keys.
pub(super) fn monitor(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "object"] })
}

/// One event as the list and the stream tell it: CloudEvents 1.0. `control` writes the text, so this is no more than its schema.
pub struct CloudEvent;

impl JsonSchema for CloudEvent {
    fn schema_name() -> Cow<'static, str> {
        "CloudEvent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "CloudEvents 1.0.",
            "properties": {
                "specversion": { "const": "1.0" },
                "id": { "type": "string", "description": "Unique, also should a store be lost." },
                "source": { "type": "string" },
                "type": { "type": "string", "pattern": "^windrose\\." },
                "time": { "type": "string", "format": "date-time" },
                "subject": { "type": "string" },
                "sequence": { "type": "integer", "minimum": 0, "maximum": u64::MAX },
                "datacontenttype": { "const": "application/json" },
                "data": {
                    "type": "object",
                    "properties": { "severity": { "type": "string" }, "summary": { "type": "string" } },
                    "required": ["severity", "summary"],
                },
            },
            "required": ["specversion", "id", "source", "type", "time", "subject", "sequence", "datacontenttype", "data"],
        })
    }
}
