//! [`structural_schema`]: the schema of a kind whose spec and status describe themselves. With the feature `schema`.

mod combined;
mod structural;
mod types;

pub use structural::structural;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value as Json, json};

use crate::Spec;

/// The structural schema of whole objects of a kind, from what `schemars` derives: what [`Spec::schema`] gives.
///
/// Doc comments become descriptions. What a structural schema can't say, such as enums whose variants hold different
/// things, is left open there; the type's own decoding still refuses what it is not. Fields of `status` that are not in
/// the schema are kept, since other programs write there too.
///
/// ```
/// use roa_core::{Scope, Spec, structural_schema};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// /// Says something.
/// #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
/// struct Greeting { text: String, times: Option<u32> }
///
/// #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
/// struct GreetingStatus { said: u32 }
///
/// impl Spec for Greeting {
///     type Status = GreetingStatus;
///     const GROUP: &'static str = "example.com";
///     const VERSION: &'static str = "v1";
///     const KIND: &'static str = "Greeting";
///     const PLURAL: &'static str = "greetings";
///     const SCOPE: Scope = Scope::Namespaced;
///
///     fn schema() -> Option<serde_json::Value> {
///         Some(structural_schema::<Self>())
///     }
/// }
/// let schema = Greeting::schema().unwrap();
/// assert_eq!(schema["description"], "Says something.");
/// assert_eq!(schema["properties"]["spec"]["properties"]["times"]["nullable"], true);
/// ```
#[must_use]
pub fn structural_schema<S>() -> Json
where
    S: Spec + JsonSchema,
    S::Status: JsonSchema,
{
    let spec = schema_of::<S>();
    let mut status = schema_of::<S::Status>();
    if status.get("type").is_some_and(|kind| kind == "object") {
        status["x-kubernetes-preserve-unknown-fields"] = true.into();
    }
    let mut schema = json!({"type": "object", "required": ["spec"]});
    if let Some(description) = spec.get("description") {
        schema["description"] = description.clone();
    }
    schema["properties"] = json!({ "spec": spec, "status": status });
    schema
}

fn schema_of<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    structural(settings.into_generator().into_root_schema_for::<T>().to_value())
}

#[cfg(test)]
mod tests;
