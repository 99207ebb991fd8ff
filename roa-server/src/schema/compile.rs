//! From OpenAPI v3 to [`Node`]s, bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use regex::{Regex, RegexBuilder};
use roa_core::Violations;
use serde_json::{Map, Number, Value as Json, json};

use super::format::Format;
use super::node::{Additional, ListKind, Node, Type};
use super::values::{Bound, Range, ValueRules};
use super::{MAX_SCHEMA_DEPTH, MAX_SCHEMA_NODES};

/// How large one compiled pattern may be, in bytes.
const MAX_PATTERN_BYTES: usize = 256 << 10;
/// How many patterns a schema may have.
const MAX_PATTERNS: usize = 1000;

/// Compiles the schema of whole objects: `apiVersion`, `kind` and `metadata` are what they are for all kinds, but a
/// schema may say more about `metadata.name`.
pub(super) fn compile(schema: &Json) -> Result<Node, Violations> {
    let mut compiler = Compiler::default();
    let mut root = compiler.node(schema, "", 0);
    add_identity(&mut root);
    compiler.found.into_result().map(|()| root)
}

pub(super) fn untyped() -> Node {
    let mut root = Node { expected: Some(Type::Object), preserve_unknown: true, ..Node::default() };
    add_identity(&mut root);
    root
}

/// What every whole object has, also one that is embedded in another.
fn add_identity(node: &mut Node) {
    let said = node.properties.remove("metadata");
    node.properties.insert("metadata".to_owned(), metadata(said.as_deref()));
    for name in ["apiVersion", "kind"] {
        let text = Node { expected: Some(Type::String), ..Node::default() };
        node.properties.entry(name.to_owned()).or_insert_with(|| Arc::new(text));
    }
}

/// What all kinds have, with what a schema says of names.
fn metadata(said: Option<&Node>) -> Arc<Node> {
    static METADATA: LazyLock<Arc<Node>> = LazyLock::new(|| Arc::new(object_metadata()));
    let mut metadata = Arc::clone(&METADATA);
    for name in ["name", "generateName"] {
        if let Some(said) = said.and_then(|said| said.properties.get(name)) {
            Arc::make_mut(&mut metadata).properties.insert(name.to_owned(), Arc::clone(said));
        }
    }
    metadata
}

fn object_metadata() -> Node {
    let text = json!({"type": "string"});
    let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let number = json!({"type": "integer"});
    let owner = json!({
        "type": "object", "required": ["apiVersion", "kind", "name", "uid"], "x-kubernetes-map-type": "atomic",
        "properties": {
            "apiVersion": text, "kind": text, "name": text, "uid": text,
            "controller": {"type": "boolean", "nullable": true}, "blockOwnerDeletion": {"type": "boolean", "nullable": true}
        }
    });
    let times = json!({"type": "string", "nullable": true});
    let schema = json!({
        "type": "object",
        "properties": {
            "name": text, "generateName": text, "namespace": text, "uid": text, "resourceVersion": text, "selfLink": text,
            "generation": number, "deletionGracePeriodSeconds": number,
            "creationTimestamp": times, "deletionTimestamp": times, "lastModified": times,
            "labels": map, "annotations": map,
            "finalizers": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
            "ownerReferences": {
                "type": "array", "items": owner, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"]
            },
            "managedFields": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
        }
    });
    let mut node = Compiler::default().node(&schema, "", 0);
    // What is empty comes as null from clients in Go.
    for field in node.properties.values_mut() {
        Arc::make_mut(field).nullable = true;
    }
    node
}

#[derive(Default)]
struct Compiler {
    nodes: usize,
    patterns: usize,
    found: Violations,
}

impl Compiler {
    fn node(&mut self, schema: &Json, path: &str, depth: usize) -> Node {
        self.nodes += 1;
        if depth > MAX_SCHEMA_DEPTH || self.nodes > MAX_SCHEMA_NODES {
            if self.nodes <= MAX_SCHEMA_NODES + 1 {
                let message =
                    format!("expected at most {MAX_SCHEMA_DEPTH} levels and {MAX_SCHEMA_NODES} schemas in all");
                self.found.push(path, message);
            }
            return Node::default();
        }
        let Json::Object(fields) = schema else {
            self.found.push(path, "expected a schema");
            return Node::default();
        };
        let read = Reader { fields, path };
        let mut node = Node {
            expected: self.expected_type(&read),
            nullable: self.flag(&read, "nullable"),
            int_or_string: self.flag(&read, "x-kubernetes-int-or-string"),
            preserve_unknown: self.flag(&read, "x-kubernetes-preserve-unknown-fields"),
            properties: self.properties(&read, depth),
            additional: self.additional(&read, depth),
            items: fields.get("items").map(|items| Box::new(self.node(items, &read.at("items"), depth + 1))),
            list: self.list_kind(&read),
            atomic: self.text(&read, "x-kubernetes-map-type").is_some_and(|kind| kind == "atomic"),
            default: fields.get("default").cloned(),
            values: self.values(&read, depth),
        };
        if self.flag(&read, "x-kubernetes-embedded-resource") {
            add_identity(&mut node);
        }
        node
    }

    /// `type` may also be a list, one of them `null`, as newer JSON Schemas have it.
    fn expected_type(&mut self, read: &Reader<'_>) -> Option<Type> {
        let name = match read.fields.get("type")? {
            Json::String(name) => name.as_str(),
            Json::Array(names) => names.iter().filter_map(Json::as_str).find(|name| *name != "null")?,
            _ => "",
        };
        let parsed = Type::parse(name);
        if parsed.is_none() {
            self.found.push(read.at("type"), "expected object, array, string, integer, number or boolean");
        }
        parsed
    }

    fn properties(&mut self, read: &Reader<'_>, depth: usize) -> BTreeMap<String, Arc<Node>> {
        let Some(properties) = self.mapping(read, "properties") else { return BTreeMap::new() };
        let path = read.at("properties");
        let compile = |(name, schema): (&String, _)| {
            (name.clone(), Arc::new(self.node(schema, &format!("{path}[{name}]"), depth + 1)))
        };
        properties.iter().map(compile).collect()
    }

    fn additional(&mut self, read: &Reader<'_>, depth: usize) -> Additional {
        match read.fields.get("additionalProperties") {
            None | Some(Json::Bool(false)) => Additional::None,
            Some(Json::Bool(true)) => Additional::Any,
            Some(schema) => Additional::Each(Box::new(self.node(schema, &read.at("additionalProperties"), depth + 1))),
        }
    }

    fn list_kind(&mut self, read: &Reader<'_>) -> ListKind {
        match self.text(read, "x-kubernetes-list-type") {
            Some("set") => ListKind::Set,
            Some("map") => ListKind::Map(self.texts(read, "x-kubernetes-list-map-keys")),
            None | Some("atomic") => ListKind::Atomic,
            Some(_) => {
                self.found.push(read.at("x-kubernetes-list-type"), "expected atomic, set or map");
                ListKind::Atomic
            }
        }
    }

    fn values(&mut self, read: &Reader<'_>, depth: usize) -> ValueRules {
        ValueRules {
            required: self.texts(read, "required"),
            allowed: self.list(read, "enum").cloned(),
            minimum: self.bound(read, "minimum", "exclusiveMinimum"),
            maximum: self.bound(read, "maximum", "exclusiveMaximum"),
            multiple_of: self.multiple_of(read),
            format: self.text(read, "format").and_then(Format::parse),
            pattern: self.pattern(read),
            length: self.range(read, "minLength", "maxLength"),
            items: self.range(read, "minItems", "maxItems"),
            unique: self.flag(read, "uniqueItems"),
            fields: self.range(read, "minProperties", "maxProperties"),
            all_of: self.nodes(read, "allOf", depth),
            any_of: self.nodes(read, "anyOf", depth),
            one_of: self.nodes(read, "oneOf", depth),
            not: read.fields.get("not").map(|not| Box::new(self.node(not, &read.at("not"), depth + 1))),
        }
    }

    fn nodes(&mut self, read: &Reader<'_>, name: &str, depth: usize) -> Vec<Node> {
        let Some(schemas) = self.list(read, name) else { return Vec::new() };
        let path = read.at(name);
        schemas.iter().enumerate().map(|(at, schema)| self.node(schema, &format!("{path}[{at}]"), depth + 1)).collect()
    }

    /// A bound and whether it is exclusive: a flag beside it, or a number of its own as newer JSON Schemas have it.
    fn bound(&mut self, read: &Reader<'_>, name: &str, exclusive: &str) -> Option<Bound> {
        match read.fields.get(exclusive) {
            Some(Json::Number(value)) => Some(Bound { value: value.clone(), exclusive: true }),
            _ => {
                let exclusive = self.flag(read, exclusive);
                self.number(read, name).map(|value| Bound { value, exclusive })
            }
        }
    }

    fn multiple_of(&mut self, read: &Reader<'_>) -> Option<Number> {
        let number = self.number(read, "multipleOf")?;
        if number.as_f64().is_some_and(|number| number > 0.0) {
            return Some(number);
        }
        self.found.push(read.at("multipleOf"), "expected a number above 0");
        None
    }

    fn pattern(&mut self, read: &Reader<'_>) -> Option<Regex> {
        let text = self.text(read, "pattern")?;
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            self.found.push(read.at("pattern"), format!("expected at most {MAX_PATTERNS} patterns in all"));
            return None;
        }
        let built = RegexBuilder::new(text).size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES).build();
        let reason = match built {
            Ok(pattern) => return Some(pattern),
            Err(regex::Error::CompiledTooBig(_)) => format!("larger than {MAX_PATTERN_BYTES} bytes when compiled"),
            Err(error) => format!("no regular expression: {}", last_line(&error.to_string())),
        };
        self.found.push(read.at("pattern"), reason);
        None
    }

    fn range(&mut self, read: &Reader<'_>, min: &str, max: &str) -> Range {
        let mut count = |name: &str| {
            let json = read.fields.get(name)?;
            let count = json.as_u64();
            if count.is_none() {
                self.found.push(read.at(name), "expected a whole number, 0 or more");
            }
            count
        };
        Range { min: count(min), max: count(max) }
    }

    fn flag(&mut self, read: &Reader<'_>, name: &str) -> bool {
        self.read(read, name, "true or false", Json::as_bool).unwrap_or(false)
    }

    fn text<'a>(&mut self, read: &Reader<'a>, name: &str) -> Option<&'a str> {
        self.read(read, name, "text", Json::as_str)
    }

    fn number(&mut self, read: &Reader<'_>, name: &str) -> Option<Number> {
        self.read(read, name, "a number", Json::as_number).cloned()
    }

    fn list<'a>(&mut self, read: &Reader<'a>, name: &str) -> Option<&'a Vec<Json>> {
        self.read(read, name, "a list", Json::as_array)
    }

    fn mapping<'a>(&mut self, read: &Reader<'a>, name: &str) -> Option<&'a Map<String, Json>> {
        self.read(read, name, "a mapping", Json::as_object)
    }

    fn texts(&mut self, read: &Reader<'_>, name: &str) -> Vec<String> {
        let Some(items) = self.list(read, name) else { return Vec::new() };
        if !items.iter().all(Json::is_string) {
            self.found.push(read.at(name), "expected a list of texts");
        }
        items.iter().filter_map(Json::as_str).map(str::to_owned).collect()
    }

    /// A keyword's value, if it is there and not null.
    fn read<'a, T>(
        &mut self,
        read: &Reader<'a>,
        name: &str,
        expected: &str,
        convert: impl Fn(&'a Json) -> Option<T>,
    ) -> Option<T> {
        let json = read.fields.get(name).filter(|json| !json.is_null())?;
        let value = convert(json);
        if value.is_none() {
            self.found.push(read.at(name), format!("expected {expected}"));
        }
        value
    }
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or(text)
}

/// A schema's keywords, and where it stands.
struct Reader<'a> {
    fields: &'a Map<String, Json>,
    path: &'a str,
}

impl Reader<'_> {
    fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_can_not_be_compiled_is_told_with_its_path() {
        let schema = json!({
            "type": "object",
            "properties": {
                "a": {"type": "text"},
                "b": {"type": "string", "pattern": "(", "minLength": -1},
                "c": {"type": "array", "items": 7, "x-kubernetes-list-type": "bag"},
                "d": {"type": "number", "multipleOf": 0, "minimum": "1"},
                "e": {"type": "string", "pattern": "\\p{L}{1,5000}"}
            }
        });
        let message = compile(&schema).unwrap_err().to_string();
        for expected in [
            "properties[a].type: expected object",
            "properties[b].pattern: no regular expression",
            "properties[b].minLength: expected a whole number",
            "properties[c].items: expected a schema",
            "properties[c].x-kubernetes-list-type: expected atomic",
            "properties[d].multipleOf: expected a number above 0",
            "properties[d].minimum: expected a number",
            "properties[e].pattern: larger than",
        ] {
            assert!(message.contains(expected), "{expected:?} is missing in: {message}");
        }
    }

    #[test]
    fn t5_a_schema_that_is_too_deep_or_too_large_is_refused_once() {
        let mut deep = json!({"type": "string"});
        for _ in 0..=MAX_SCHEMA_DEPTH {
            deep = json!({"type": "array", "items": deep});
        }
        assert!(compile(&deep).is_err());
        let many: Map<_, _> = (0..=MAX_SCHEMA_NODES).map(|n| (n.to_string(), json!({}))).collect();
        assert_eq!(compile(&json!({"properties": many})).unwrap_err().len(), 1);
    }

    proptest! {
        #[test]
        fn no_schema_makes_it_panic(keyword in "type|items|properties|enum|pattern|minimum|allOf|not|default|x-kubernetes-list-type", text in ".{0,12}", number in any::<i64>()) {
            for value in [json!(text), json!(number), json!([text]), json!({"a": text}), json!({ &text: {"type": "string"} }), json!(null)] {
                let _outcome = compile(&json!({ &keyword: value, "properties": {"a": { &keyword: value }} }));
            }
        }
    }
}
