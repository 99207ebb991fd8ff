//! How the types that kinds are made of describe themselves.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{Condition, ConditionStatus, Conditions, HumanDuration, OwnerReference, Revision, Timestamp};

macro_rules! describe {
    ($($type:ty = $schema:tt;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

describe! {
    Timestamp = {"type": "string", "format": "date-time", "description": "A time, as RFC 3339 writes it."};
    HumanDuration = {"type": "string", "description": "A length of time, such as 90s, 60m or 1h30m."};
    Revision = {"type": "string", "description": "A resourceVersion."};
    ConditionStatus = {"type": "string", "enum": ["True", "False", "Unknown"]};
    Condition = {
        "type": "object", "description": "One aspect of what is known of the object.", "required": ["type", "status"],
        "properties": {
            "type": {"type": "string", "description": "Which aspect, such as Ready."},
            "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it is so."},
            "reason": {"type": "string", "description": "Why, in a word."},
            "message": {"type": "string", "description": "Why, in a sentence."},
            "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When status last changed."},
            "observedGeneration": {"type": "integer", "minimum": 0, "nullable": true, "description": "The generation that it speaks of."}
        }
    };
    OwnerReference = {
        "type": "object", "required": ["apiVersion", "kind", "name", "uid"],
        "properties": {
            "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "name": {"type": "string"}, "uid": {"type": "string"},
            "controller": {"type": "boolean", "nullable": true}, "blockOwnerDeletion": {"type": "boolean", "nullable": true}
        }
    };
}

impl JsonSchema for Conditions {
    fn schema_name() -> Cow<'static, str> {
        "Conditions".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let condition = Condition::json_schema(generator);
        json_schema!({
            "type": "array", "description": "What is known of the object, aspect by aspect.", "items": condition,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]
        })
    }
}
