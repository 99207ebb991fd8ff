//! The structural schemas of the kinds: what `explain` shows, made from the Rust types and their documentation.

use std::borrow::Cow;

use roa_core::{HumanDuration, Spec, Timestamp};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::worker::DesiredPhase;
use crate::{Quantity, ScalingPolicy, TimeOfDay, Written};

/// The schema of a whole object of the kind `S`.
pub(crate) fn of<S: Spec + JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    let mut spec = settings.into_generator().into_root_schema_for::<S>().to_value();
    make_structural(&mut spec);
    json!({
        "description": spec.get("description").cloned().unwrap_or_default(),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "The group and the version: lab.neuroglia.com/v1."},
            "kind": {"type": "string", "description": format!("The kind: {}.", S::KIND)},
            "metadata": {"type": "object", "description": "Name, namespace, labels and what else every object has."},
            "spec": spec,
            "status": {
                "type": "object",
                "description": "What is observed. It is written by controllers alone.",
                "x-kubernetes-preserve-unknown-fields": true,
            },
        },
    })
}

/// Leaves what a structural schema may have; and what is written as one integer type, as OpenAPI v3 knows it.
fn make_structural(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    for name in ["$schema", "title", "components", "$defs", "default"] {
        object.remove(name);
    }
    normalise_format(object);
    if let Some(text) = object.get_mut("description").and_then(|text| text.as_str().map(first_paragraph)) {
        object.insert("description".to_owned(), text.into());
    }
    let fields = object.get_mut("properties").and_then(Value::as_object_mut);
    fields.into_iter().flat_map(Map::values_mut).for_each(make_structural);
    for name in ["items", "additionalProperties"] {
        if let Some(child) = object.get_mut(name) {
            make_structural(child);
        }
    }
}

/// `uint32` and its like are not known to OpenAPI.
fn normalise_format(object: &mut Map<String, Value>) {
    let known = match object.get("format").and_then(Value::as_str) {
        Some("uint32" | "int32" | "uint16" | "uint8") => Some("int32"),
        Some("uint" | "uint64" | "int64") => Some("int64"),
        _ => None,
    };
    if let Some(known) = known {
        object.insert("format".to_owned(), known.into());
    }
}

/// What stands before an example or a further remark, in one line and without links.
fn first_paragraph(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ").replace(['`', '[', ']'], "")
}

/// A value that manifests write as text.
pub trait WrittenSchema {
    /// The schema of that text.
    fn written_schema() -> Schema;
}

impl WrittenSchema for Quantity {
    /// Numbers are taken too, also those with a point: no one type says that.
    fn written_schema() -> Schema {
        json_schema!({"x-kubernetes-preserve-unknown-fields": true})
    }
}

impl WrittenSchema for HumanDuration {
    fn written_schema() -> Schema {
        json_schema!({"type": "string"})
    }
}

impl WrittenSchema for Timestamp {
    fn written_schema() -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

impl WrittenSchema for TimeOfDay {
    fn written_schema() -> Schema {
        json_schema!({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"})
    }
}

impl WrittenSchema for DesiredPhase {
    fn written_schema() -> Schema {
        json_schema!({"type": "string", "enum": Self::ALL.map(Self::as_str)})
    }
}

impl WrittenSchema for ScalingPolicy {
    fn written_schema() -> Schema {
        json_schema!({"type": "string", "enum": Self::ALL.map(Self::as_str)})
    }
}

impl<T: WrittenSchema> JsonSchema for Written<T> {
    fn schema_name() -> Cow<'static, str> {
        "Written".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        T::written_schema()
    }
}

/// The schema of a time, for fields of a type of another crate.
#[derive(Debug)]
pub struct Time;

/// The schema of a duration, for fields of a type of another crate.
#[derive(Debug)]
pub struct Span;

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Timestamp::written_schema()
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        HumanDuration::written_schema()
    }
}

#[cfg(test)]
mod tests;
