//! `roa explain`: the fields of a kind, from the schema that the server publishes.

use serde_json::Value as Json;

use crate::cli::{ExplainArgs, LogArgs};
use crate::client::{Ask, Client, ClientError, Kind, with_client};
use crate::config::nearest_word;
use crate::report::Failure;
use crate::show::{BOLD, safe, say};

/// Schemas that refer to each other, on the way to one.
const MAX_REFERENCES: usize = 16;

/// Prints to stdout.
///
/// # Errors
/// There is no such kind or field, or the kind has no schema.
pub(crate) fn run(args: &ExplainArgs, log: &LogArgs) -> Result<(), Failure> {
    with_client(&args.access, log, async |client| explain(client, &args.field).await)
}

async fn explain(client: &Client, field: &str) -> anyhow::Result<()> {
    let (kind, path) = field.split_once('.').unwrap_or((field, ""));
    let kind = client.kind(kind).await?;
    let place =
        if kind.group.is_empty() { format!("api/{}", kind.version) } else { format!("apis/{}", kind.api_version()) };
    let (_, body) = client.http().ask(&Ask::get(format!("/openapi/v3/{place}"))).await?;
    let document: Json = serde_json::from_slice(&body).unwrap_or_default();
    let root = schema_of(&document, &kind)
        .ok_or_else(|| ClientError::NotFound { what: format!("a schema of {}", kind.qualified()), hint: None })?;
    let schemas = Schemas(&document);
    let found = schemas.walk(&kind, root, path)?;
    schemas.render(&kind, path, found).iter().try_for_each(|line| say(line))
}

fn schema_of<'a>(document: &'a Json, kind: &Kind) -> Option<&'a Json> {
    let schemas = document["components"]["schemas"].as_object()?;
    let is_of = |schema: &&Json| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array().map(Vec::as_slice).unwrap_or_default();
        kinds.iter().any(|known| known["group"] == kind.group.as_str() && known["kind"] == kind.kind.as_str())
    };
    schemas.values().find(is_of)
}

/// The schemas of a document, which refer to each other.
struct Schemas<'a>(&'a Json);

impl<'a> Schemas<'a> {
    /// What a schema refers to, if it does.
    fn resolve(&self, mut schema: &'a Json) -> &'a Json {
        for _ in 0..MAX_REFERENCES {
            let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
            let Some(target) = reference.and_then(|reference| self.0.pointer(reference.trim_start_matches('#'))) else {
                break;
            };
            schema = target;
        }
        schema
    }

    /// The schema at a path of fields; lists and maps are walked through.
    fn walk(&self, kind: &Kind, root: &'a Json, path: &str) -> Result<&'a Json, ClientError> {
        let mut schema = self.resolve(root);
        for name in path.split('.').filter(|name| !name.is_empty()) {
            let fields = self.content(schema)["properties"].as_object();
            let found = fields.and_then(|fields| fields.get(name));
            schema = self.resolve(found.ok_or_else(|| {
                let names = fields.into_iter().flat_map(|fields| fields.keys().map(String::as_str));
                ClientError::NotFound {
                    what: format!("field {name:?} of {}.{path}", kind.singular),
                    hint: nearest_word(name, names).map(|near| format!("did you mean {near}?")),
                }
            })?);
        }
        Ok(schema)
    }

    /// What stands in a list or a map; else the schema itself.
    fn content(&self, schema: &'a Json) -> &'a Json {
        let schema = self.resolve(schema);
        match (&schema["items"], &schema["additionalProperties"]) {
            (items, _) if items.is_object() => self.content(items),
            (_, values) if values.is_object() => self.content(values),
            _ => schema,
        }
    }

    fn render(&self, kind: &Kind, path: &str, schema: &'a Json) -> Vec<String> {
        let mut lines = vec![format!("{BOLD}Kind:{BOLD:#}     {} ({})", kind.kind, kind.api_version())];
        if !path.is_empty() {
            lines.push(format!("{BOLD}Field:{BOLD:#}    {} <{}>", safe(path), self.type_of(schema)));
        }
        if let Some(text) = schema["description"].as_str() {
            lines.extend(["".to_owned(), safe(text).into_owned()]);
        }
        let content = self.content(schema);
        let required = content["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fields: Vec<_> = content["properties"].as_object().into_iter().flatten().collect();
        if !fields.is_empty() {
            lines.extend(["".to_owned(), format!("{BOLD}Fields:{BOLD:#}")]);
        }
        for (name, field) in fields {
            let field = self.resolve(field);
            let must = if required.iter().any(|known| known == name) { " required" } else { "" };
            lines.push(format!("  {}  <{}>{must}", safe(name), self.type_of(field)));
            if let Some(text) = field["description"].as_str() {
                lines.extend(text.lines().map(|line| format!("      {}", safe(line))));
            }
        }
        lines
    }

    fn type_of(&self, schema: &'a Json) -> String {
        let schema = self.resolve(schema);
        let word = match &schema["type"] {
            Json::String(word) => word.as_str(),
            Json::Array(words) => words.iter().filter_map(Json::as_str).find(|word| *word != "null").unwrap_or("any"),
            _ if schema["properties"].is_object() => "object",
            _ => "any",
        };
        match word {
            "array" => format!("[]{}", self.type_of(&schema["items"])),
            "object" if schema["additionalProperties"].is_object() => {
                format!("map[string]{}", self.type_of(&schema["additionalProperties"]))
            }
            word => word.to_owned(),
        }
    }
}
