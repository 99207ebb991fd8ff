//! What a CustomResourceDefinition says.

use serde::Deserialize;
use serde_json::{Value as Json, json};

#[derive(Debug, Deserialize)]
pub(super) struct Definition {
    #[serde(default)]
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    pub(super) group: String,
    pub(super) names: Names,
    pub(super) scope: String,
    pub(super) versions: Vec<Version>,
    #[serde(default)]
    pub(super) conversion: Option<Conversion>,
    #[serde(default)]
    pub(super) preserve_unknown_fields: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Names {
    pub(super) plural: String,
    pub(super) kind: String,
    #[serde(default)]
    singular: Option<String>,
    #[serde(default)]
    list_kind: Option<String>,
    #[serde(default)]
    pub(super) short_names: Option<Vec<String>>,
    #[serde(default)]
    pub(super) categories: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Conversion {
    pub(super) strategy: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Version {
    pub(super) name: String,
    pub(super) served: bool,
    pub(super) storage: bool,
    #[serde(default)]
    pub(super) deprecated: Option<bool>,
    #[serde(default)]
    pub(super) deprecation_warning: Option<String>,
    #[serde(default)]
    schema: Option<Schema>,
    #[serde(default)]
    subresources: Option<Subresources>,
    #[serde(default)]
    pub(super) additional_printer_columns: Option<Vec<PrinterColumn>>,
    #[serde(default)]
    pub(super) selectable_fields: Option<Vec<SelectableField>>,
}

#[derive(Debug, Deserialize)]
struct Schema {
    #[serde(default, rename = "openAPIV3Schema")]
    open_api: Option<Json>,
}

#[derive(Debug, Deserialize)]
struct Subresources {
    #[serde(default)]
    status: Option<Json>,
    #[serde(default)]
    scale: Option<Scale>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Scale {
    pub(super) spec_replicas_path: String,
    pub(super) status_replicas_path: String,
    #[serde(default)]
    pub(super) label_selector_path: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PrinterColumn {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) json_path: String,
    #[serde(default)]
    pub(super) priority: Option<u32>,
    #[serde(default)]
    pub(super) description: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SelectableField {
    pub(super) json_path: String,
}

impl Definition {
    /// Reads a definition; where and what is wrong, if it is none.
    pub(super) fn parse(object: &Json) -> Result<Self, (String, String)> {
        serde_path_to_error::deserialize(object).map_err(|error: serde_path_to_error::Error<serde_json::Error>| {
            (error.path().to_string(), error.inner().to_string())
        })
    }
}

impl Names {
    pub(super) fn singular(&self) -> String {
        self.singular.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| self.kind.to_ascii_lowercase())
    }

    pub(super) fn list_kind(&self) -> String {
        self.list_kind.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| format!("{}List", self.kind))
    }
}

impl Version {
    pub(super) fn schema(&self) -> Option<&Json> {
        self.schema.as_ref()?.open_api.as_ref()
    }

    pub(super) fn has_status(&self) -> bool {
        self.subresources.as_ref().is_some_and(|all| all.status.is_some())
    }

    pub(super) fn scale(&self) -> Option<&Scale> {
        self.subresources.as_ref()?.scale.as_ref()
    }

    /// The warning to those who use it, if it is deprecated.
    pub(super) fn deprecation(&self, group: &str, kind: &str) -> Option<String> {
        let general = || format!("{group}/{} {kind} is deprecated", self.name);
        (self.deprecated == Some(true)).then(|| self.deprecation_warning.clone().unwrap_or_else(general))
    }
}

/// Fills in what a definition may leave out: `singular`, `listKind`, `conversion`.
pub fn default(object: &mut Json) {
    let Some(spec) = object.get_mut("spec").and_then(Json::as_object_mut) else { return };
    spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    let Some(names) = spec.get_mut("names").and_then(Json::as_object_mut) else { return };
    if let Some(kind) = names.get("kind").and_then(Json::as_str).map(str::to_owned) {
        names.entry("singular").or_insert_with(|| kind.to_ascii_lowercase().into());
        names.entry("listKind").or_insert_with(|| format!("{kind}List").into());
    }
}
