//! What is wrong with a value, as its schema says. Messages and reasons are those of Kubernetes.

use std::collections::HashSet;

use roa_core::{ViolationReason as Reason, Violations};
use serde_json::{Map, Number, Value as Json};

use super::MAX_VIOLATIONS;
use super::node::{ListKind, Node};
use super::path::Path;
use super::values::{equal, is_multiple, whole};

pub(super) fn validate(root: &Node, object: &Json) -> Violations {
    let mut found = Found { violations: Violations::none(), room: MAX_VIOLATIONS };
    found.walk(root, object, &Path::root());
    found.violations
}

struct Found {
    violations: Violations,
    /// How many more are told.
    room: usize,
}

impl Found {
    fn walk(&mut self, node: &Node, value: &Json, path: &Path<'_>) {
        if self.room == 0 || (value.is_null() && node.nullable) {
            return;
        }
        if !fits_type(node, value) {
            self.wrong_type(node, value, path);
            return;
        }
        self.allowed(node, value, path);
        match value {
            Json::Object(fields) => self.object(node, fields, path),
            Json::Array(items) => self.array(node, items, path),
            Json::String(text) => self.text(node, text, path),
            Json::Number(number) => self.number(node, number, path),
            Json::Null | Json::Bool(_) => {}
        }
        self.combined(node, value, path);
    }

    fn wrong_type(&mut self, node: &Node, value: &Json, path: &Path<'_>) {
        let expected = if node.int_or_string { "integer or string" } else { node.expected.map_or("", |t| t.name()) };
        let shown = format!("\"{}\"", type_name(value));
        self.push(
            Reason::TypeInvalid,
            path,
            format!("Invalid value: {shown}: {path} in body must be of type {expected}: {shown}"),
        );
    }

    fn allowed(&mut self, node: &Node, value: &Json, path: &Path<'_>) {
        let Some(allowed) = &node.values.allowed else { return };
        if !allowed.iter().any(|one| equal(one, value)) {
            let names: Vec<_> = allowed.iter().map(short).collect();
            let message = format!("Unsupported value: {}: supported values: {}", short(value), names.join(", "));
            self.push(Reason::NotSupported, path, message);
        }
    }

    fn object(&mut self, node: &Node, fields: &Map<String, Json>, path: &Path<'_>) {
        for name in node.values.required.iter().filter(|name| !fields.contains_key(*name)) {
            self.push(Reason::Required, &path.field(name), "Required value".to_owned());
        }
        if let Some(max) = node.values.fields.exceeded_by(fields.len()) {
            self.push(Reason::TooMany, path, format!("Too many: {}: must have at most {max} items", fields.len()));
        }
        if let Some(min) = node.values.fields.missed_by(fields.len()) {
            self.invalid(path, &fields.len(), &format!("should have at least {min} properties"));
        }
        for (name, value) in fields {
            if let Some(child) = node.field(name) {
                self.walk(child, value, &path.field(name));
            }
        }
    }

    fn array(&mut self, node: &Node, items: &[Json], path: &Path<'_>) {
        if let Some(max) = node.values.items.exceeded_by(items.len()) {
            self.push(Reason::TooMany, path, format!("Too many: {}: must have at most {max} items", items.len()));
        }
        if let Some(min) = node.values.items.missed_by(items.len()) {
            self.invalid(path, &items.len(), &format!("should have at least {min} items"));
        }
        self.duplicates(node, items, path);
        if let Some(item) = &node.items {
            for (index, value) in items.iter().enumerate() {
                self.walk(item, value, &path.index(index));
            }
        }
    }

    fn duplicates(&mut self, node: &Node, items: &[Json], path: &Path<'_>) {
        let identity = |item: &Json| match &node.list {
            ListKind::Map(keys) => {
                let key: Map<_, _> =
                    keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect();
                Some(Json::Object(key).to_string())
            }
            ListKind::Set => Some(item.to_string()),
            ListKind::Atomic => node.values.unique.then(|| item.to_string()),
        };
        let mut seen = HashSet::new();
        for (index, item) in items.iter().enumerate() {
            if let Some(identity) = identity(item)
                && !seen.insert(identity.clone())
            {
                self.push(Reason::Duplicate, &path.index(index), format!("Duplicate value: {}", cut(&identity)));
            }
        }
    }

    fn text(&mut self, node: &Node, text: &str, path: &Path<'_>) {
        let (rules, shown) = (&node.values, short(&Json::from(text)));
        let length = text.chars().count();
        if let Some(max) = rules.length.exceeded_by(length) {
            self.push(Reason::TooLong, path, format!("Too long: may not be more than {max} bytes"));
        }
        if let Some(min) = rules.length.missed_by(length) {
            self.invalid(path, &shown, &format!("should be at least {min} chars long"));
        }
        if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            self.invalid(path, &shown, &format!("should match '{}'", pattern.as_str()));
        }
        if let Some(format) = rules.format.filter(|format| !format.fits_text(text)) {
            self.invalid(path, &shown, &format!("must be of type {}: {shown}", format.name()));
        }
    }

    fn number(&mut self, node: &Node, number: &Number, path: &Path<'_>) {
        let rules = &node.values;
        if let Some(min) = rules.minimum.as_ref().filter(|min| !min.allows_from_above(number)) {
            let or_equal = if min.exclusive { "" } else { "or equal to " };
            self.invalid(path, number, &format!("should be greater than {or_equal}{}", min.value));
        }
        if let Some(max) = rules.maximum.as_ref().filter(|max| !max.allows_from_below(number)) {
            let or_equal = if max.exclusive { "" } else { "or equal to " };
            self.invalid(path, number, &format!("should be less than {or_equal}{}", max.value));
        }
        if let Some(of) = rules.multiple_of.as_ref().filter(|of| !is_multiple(number, of)) {
            self.invalid(path, number, &format!("should be a multiple of {of}"));
        }
        let fits = |number: i128| rules.format.is_none_or(|format| format.fits_number(number));
        if let (Some(format), false) = (rules.format, whole(number).is_none_or(fits)) {
            self.invalid(path, number, &format!("must be of type {}: \"{number}\"", format.name()));
        }
    }

    fn combined(&mut self, node: &Node, value: &Json, path: &Path<'_>) {
        let rules = &node.values;
        for all in &rules.all_of {
            self.walk(all, value, path);
        }
        let holds = |node: &Node| {
            let mut found = Self { violations: Violations::none(), room: 1 };
            found.walk(node, value, path);
            found.violations.is_empty()
        };
        if !rules.any_of.is_empty() && !rules.any_of.iter().any(holds) {
            self.about(path, value, "must validate at least one schema (anyOf)");
        }
        match rules.one_of.iter().filter(|one| holds(one)).count() {
            _ if rules.one_of.is_empty() => {}
            1 => {}
            0 => self.about(path, value, "must validate one and only one schema (oneOf). Found none valid"),
            valid => {
                self.about(path, value, &format!("must validate one and only one schema (oneOf). Found {valid} valid"));
            }
        }
        if rules.not.as_ref().is_some_and(|not| holds(not)) {
            self.about(path, value, "must not validate the schema (not)");
        }
    }

    fn about(&mut self, path: &Path<'_>, value: &Json, rule: &str) {
        self.push(Reason::Invalid, path, format!("Invalid value: {}: \"{path}\" {rule}", short(value)));
    }

    fn invalid(&mut self, path: &Path<'_>, value: &dyn std::fmt::Display, rule: &str) {
        self.push(Reason::Invalid, path, format!("Invalid value: {value}: {path} in body {rule}"));
    }

    fn push(&mut self, reason: Reason, path: &Path<'_>, message: String) {
        if let Some(room) = self.room.checked_sub(1) {
            self.room = room;
            self.violations.push_as(reason, path.to_string(), message);
        }
    }
}

fn fits_type(node: &Node, value: &Json) -> bool {
    if node.int_or_string {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    node.expected.is_none_or(|expected| expected.fits(value))
}

fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// A value as far as a message shows it.
fn short(value: &Json) -> String {
    match value {
        Json::Array(_) | Json::Object(_) => format!("\"{}\"", type_name(value)),
        scalar => cut(&scalar.to_string()),
    }
}

fn cut(text: &str) -> String {
    const SHOWN: usize = 128;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::Structural;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    fn found(spec: &Json, value: &Json) -> Vec<String> {
        let schema = Structural::compile(&json!({"type": "object", "properties": {"x": spec}})).unwrap();
        let found = schema.validate(&json!({ "x": value }), None);
        found.iter().map(|violation| format!("{} {violation}", violation.reason.as_str())).collect()
    }

    #[test]
    fn each_rule_tells_what_breaks_it() {
        let cases = [
            (
                json!({"type": "integer"}),
                json!(1),
                json!("a"),
                "FieldValueTypeInvalid x: Invalid value: \"string\": x in body must be of type integer: \"string\"",
            ),
            (
                json!({"type": "string"}),
                json!("a"),
                json!(null),
                "FieldValueTypeInvalid x: Invalid value: \"null\": x in body must be of type string: \"null\"",
            ),
            (
                json!({"type": "string", "nullable": true}),
                json!(null),
                json!(1),
                "FieldValueTypeInvalid x: Invalid value: \"integer\": x in body must be of type string: \"integer\"",
            ),
            (
                json!({"x-kubernetes-int-or-string": true}),
                json!("80"),
                json!(1.5),
                "FieldValueTypeInvalid x: Invalid value: \"number\": x in body must be of type integer or string: \"number\"",
            ),
            (
                json!({"type": "string", "enum": ["a", "b"]}),
                json!("a"),
                json!("c"),
                "FieldValueNotSupported x: Unsupported value: \"c\": supported values: \"a\", \"b\"",
            ),
            (
                json!({"type": "integer", "minimum": 1}),
                json!(1),
                json!(0),
                "FieldValueInvalid x: Invalid value: 0: x in body should be greater than or equal to 1",
            ),
            (
                json!({"type": "number", "minimum": 1, "exclusiveMinimum": true}),
                json!(1.1),
                json!(1),
                "FieldValueInvalid x: Invalid value: 1: x in body should be greater than 1",
            ),
            (
                json!({"type": "integer", "maximum": 9}),
                json!(9),
                json!(10),
                "FieldValueInvalid x: Invalid value: 10: x in body should be less than or equal to 9",
            ),
            (
                json!({"type": "integer", "exclusiveMaximum": 9}),
                json!(8),
                json!(9),
                "FieldValueInvalid x: Invalid value: 9: x in body should be less than 9",
            ),
            (
                json!({"type": "integer", "multipleOf": 5}),
                json!(10),
                json!(7),
                "FieldValueInvalid x: Invalid value: 7: x in body should be a multiple of 5",
            ),
            (
                json!({"type": "string", "maxLength": 3}),
                json!("äöü"),
                json!("abcd"),
                "FieldValueTooLong x: Too long: may not be more than 3 bytes",
            ),
            (
                json!({"type": "string", "minLength": 1}),
                json!("a"),
                json!(""),
                "FieldValueInvalid x: Invalid value: \"\": x in body should be at least 1 chars long",
            ),
            (
                json!({"type": "string", "pattern": "^[a-z]+$"}),
                json!("abc"),
                json!("A1"),
                "FieldValueInvalid x: Invalid value: \"A1\": x in body should match '^[a-z]+$'",
            ),
            (
                json!({"type": "string", "format": "date-time"}),
                json!("2027-01-01T00:00:00Z"),
                json!("soon"),
                "FieldValueInvalid x: Invalid value: \"soon\": x in body must be of type date-time: \"soon\"",
            ),
            (
                json!({"type": "integer", "format": "int32"}),
                json!(1),
                json!(3_000_000_000_u32),
                "FieldValueInvalid x: Invalid value: 3000000000: x in body must be of type int32: \"3000000000\"",
            ),
            (
                json!({"type": "object", "required": ["a"], "x-kubernetes-preserve-unknown-fields": true}),
                json!({"a": 1}),
                json!({}),
                "FieldValueRequired x.a: Required value",
            ),
            (
                json!({"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1}),
                json!({"a": "b"}),
                json!({"a": "b", "c": "d"}),
                "FieldValueTooMany x: Too many: 2: must have at most 1 items",
            ),
            (
                json!({"type": "object", "additionalProperties": {"type": "string"}}),
                json!({"a": "b"}),
                json!({"e.g/a": 1}),
                "FieldValueTypeInvalid x[e.g/a]: Invalid value: \"integer\": x[e.g/a] in body must be of type string: \"integer\"",
            ),
            (
                json!({"type": "array", "items": {"type": "integer"}, "minItems": 1}),
                json!([1]),
                json!([]),
                "FieldValueInvalid x: Invalid value: 0: x in body should have at least 1 items",
            ),
            (
                json!({"type": "array", "items": {"type": "integer"}, "maxItems": 1}),
                json!([1]),
                json!([1, 2]),
                "FieldValueTooMany x: Too many: 2: must have at most 1 items",
            ),
            (
                json!({"type": "array", "items": {"type": "integer"}}),
                json!([1]),
                json!([1, "a"]),
                "FieldValueTypeInvalid x[1]: Invalid value: \"string\": x[1] in body must be of type integer: \"string\"",
            ),
            (
                json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
                json!(["a", "b"]),
                json!(["a", "a"]),
                "FieldValueDuplicate x[1]: Duplicate value: \"a\"",
            ),
            (
                json!({"type": "array", "items": {"type": "object", "properties": {"n": {"type": "string"}, "v": {"type": "integer"}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"]}),
                json!([{"n": "a"}, {"n": "b"}]),
                json!([{"n": "a"}, {"n": "a", "v": 1}]),
                "FieldValueDuplicate x[1]: Duplicate value: {\"n\":\"a\"}",
            ),
            (
                json!({"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]}),
                json!(0),
                json!(3),
                "FieldValueInvalid x: Invalid value: 3: \"x\" must validate at least one schema (anyOf)",
            ),
            (
                json!({"type": "integer", "oneOf": [{"minimum": 5}, {"maximum": 7}]}),
                json!(8),
                json!(6),
                "FieldValueInvalid x: Invalid value: 6: \"x\" must validate one and only one schema (oneOf). Found 2 valid",
            ),
            (
                json!({"type": "integer", "allOf": [{"minimum": 5}, {"maximum": 7}]}),
                json!(6),
                json!(8),
                "FieldValueInvalid x: Invalid value: 8: x in body should be less than or equal to 7",
            ),
            (
                json!({"type": "integer", "not": {"enum": [13]}}),
                json!(6),
                json!(13),
                "FieldValueInvalid x: Invalid value: 13: \"x\" must not validate the schema (not)",
            ),
        ];
        for (schema, good, bad, expected) in cases {
            assert_eq!(found(&schema, &good), [""; 0], "{schema}");
            assert_eq!(found(&schema, &bad), [expected], "{schema}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_up_to_a_bound() {
        let list = json!({"type": "array", "items": {"type": "integer"}});
        assert_eq!(found(&list, &json!(["a", "b", 1])).len(), 2);
        assert_eq!(found(&list, &json!(vec!["a"; 5000])).len(), 100);
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(text in ".{0,8}", number in any::<f64>(), whole in any::<i64>()) {
            let schema = json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 1, "multipleOf": 3, "format": "int32"}, "b": {"type": "string", "format": "email", "maxLength": 3}}, "additionalProperties": {"type": "array", "items": {"type": "number", "multipleOf": 0.1}}});
            for value in [json!(text), json!(number), json!(whole), json!([text, number]), json!({"a": number, "b": text, "c": [number]}), json!({"a": whole, "b": number, "c": null})] {
                let _found = found(&schema, &value);
            }
        }
    }
}
