use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::*;
use crate::{Conditions, HumanDuration, Scope, Timestamp};

/// Everything at once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Everything {
    /// How many.
    count: u32,
    #[serde(default)]
    optional: Option<i64>,
    mode: Mode,
    maybe_mode: Option<Mode>,
    nested: Option<Nested>,
    list: Vec<Nested>,
    names: BTreeSet<String>,
    map: BTreeMap<String, u8>,
    source: Source,
    tagged: Tagged,
    port: Port,
    free: Json,
    duration: HumanDuration,
    recursive: Option<Recursive>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// At once.
    Fast,
    /// Later.
    Slow,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Nested {
    a: String,
    #[serde(flatten)]
    more: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Source {
    Url(String),
    Inline { text: String },
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Tagged {
    Process { command: String },
    Static { directory: String },
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Name(String),
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Recursive {
    next: Option<Box<Self>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct EverythingStatus {
    state: Option<String>,
    since: Option<Timestamp>,
    conditions: Conditions,
}

impl Spec for Everything {
    type Status = EverythingStatus;
    const GROUP: &'static str = "example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Everything";
    const PLURAL: &'static str = "everythings";
    const SCOPE: Scope = Scope::Namespaced;
}

#[test]
fn a_rust_type_becomes_a_structural_schema() {
    let schema = structural_schema::<Everything>();
    assert_eq!((&schema["type"], &schema["description"]), (&json!("object"), &json!("Everything at once.")));
    let spec = &schema["properties"]["spec"];
    assert_eq!(spec["required"].as_array().unwrap().len(), 10);
    let expected = json!({
        "count": {"type": "integer", "minimum": 0, "description": "How many."},
        "optional": {"type": "integer", "format": "int64", "nullable": true},
        "mode": {"type": "string", "enum": ["fast", "slow"]},
        "maybeMode": {"type": "string", "enum": ["fast", "slow"], "nullable": true},
        "names": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "map": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 255}},
        "port": {"x-kubernetes-int-or-string": true},
        "free": {"x-kubernetes-preserve-unknown-fields": true},
        "source": {
            "type": "object", "oneOf": [{"required": ["inline"]}, {"required": ["url"]}],
            "properties": {
                "url": {"type": "string"},
                "inline": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
            }
        },
        "tagged": {
            "type": "object",
            "properties": {"type": {"type": "string", "enum": ["process", "static"]}, "command": {"type": "string"}, "directory": {"type": "string"}}
        }
    });
    for (name, expected) in expected.as_object().unwrap() {
        assert_eq!(spec["properties"][name], *expected, "{name}");
    }
    let nested = &spec["properties"]["nested"];
    assert_eq!(
        (&nested["type"], &nested["nullable"], &nested["x-kubernetes-preserve-unknown-fields"]),
        (&json!("object"), &json!(true), &json!(true))
    );
    assert_eq!(spec["properties"]["list"]["items"]["properties"]["a"], json!({"type": "string"}));
    let status = &schema["properties"]["status"];
    assert_eq!(status["x-kubernetes-preserve-unknown-fields"], true);
    assert_eq!(status["properties"]["conditions"]["x-kubernetes-list-map-keys"], json!(["type"]));
    assert_eq!(status["properties"]["since"]["format"], "date-time");
}

#[test]
fn nothing_is_left_that_a_structural_schema_must_not_have() {
    let text = structural_schema::<Everything>().to_string();
    for keyword in ["$ref", "$schema", "title", "\"additionalProperties\":false", "uint", "uniqueItems", "const"] {
        assert!(!text.contains(keyword), "{keyword} in {text}");
    }
}
