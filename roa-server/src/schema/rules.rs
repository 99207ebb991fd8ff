//! `x-kubernetes-validations`: rules in CEL, evaluated by `kube-cel`, which knows the function libraries of Kubernetes.
//!
//! It has no budget of its own. So what a rule may cost is estimated from its text and from the object's longest list
//! before it is run; what would cost too much is refused.

use std::fmt;

use kube_cel::{CompiledSchema, Validator, compile_schema};
use roa_core::{ViolationReason as Reason, Violations};
use serde_json::Value as Json;

use super::{MAX_SCHEMA_DEPTH, MAX_VIOLATIONS};

/// How long one expression may be, in bytes.
const MAX_EXPRESSION_BYTES: usize = 4 << 10;
/// How deep parentheses in an expression may nest.
const MAX_EXPRESSION_DEPTH: usize = 24;
/// How many rules a schema may have.
const MAX_RULES: usize = 200;
/// How many steps all rules of a schema may take on one object.
const MAX_STEPS: u64 = 2_000_000;

/// The rules of a schema, compiled once.
pub(super) struct Rules {
    compiled: Option<CompiledSchema>,
    /// For each rule, how many loops over lists run inside one another.
    loops: Vec<u32>,
}

impl Rules {
    pub(super) const fn none() -> Self {
        Self { compiled: None, loops: Vec::new() }
    }

    pub(super) fn compile(schema: &Json) -> Result<Self, Violations> {
        let mut survey = Survey::default();
        survey.walk(schema, "", 0, 0);
        survey.found.into_result()?;
        if survey.loops.is_empty() {
            return Ok(Self::none());
        }
        let compiled = compile_schema(schema);
        let mut found = Violations::none();
        compilation_errors(&compiled, &mut found);
        found.into_result()?;
        Ok(Self { compiled: Some(compiled), loops: survey.loops })
    }

    pub(super) fn validate(&self, object: &Json, old: Option<&Json>) -> Violations {
        let Some(compiled) = &self.compiled else { return Violations::none() };
        let mut found = Violations::none();
        let longest = longest(object).max(old.map_or(0, longest));
        let steps = self.loops.iter().map(|loops| longest.saturating_pow(*loops)).fold(0, u64::saturating_add);
        if steps > MAX_STEPS {
            let message = format!(
                "Invalid value: rules would take about {steps} steps with lists of {longest} elements, expected at most {MAX_STEPS}"
            );
            found.push_as(Reason::TooMany, "", message);
            return found;
        }
        if let Err(errors) = Validator::new().validate_compiled(compiled, object, old) {
            for error in errors.into_iter().take(MAX_VIOLATIONS) {
                let reason = reason(error.reason.as_deref());
                let message = match reason {
                    Reason::Required => format!("Required value: {}", error.message),
                    Reason::Forbidden => format!("Forbidden: {}", error.message),
                    Reason::Duplicate => format!("Duplicate value: {}", error.message),
                    _ => format!("Invalid value: {}", error.message),
                };
                found.push_as(reason, error.field_path.trim_start_matches('.'), message);
            }
        }
        found
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rules({})", self.loops.len())
    }
}

fn reason(name: Option<&str>) -> Reason {
    match name {
        Some("FieldValueRequired") => Reason::Required,
        Some("FieldValueForbidden") => Reason::Forbidden,
        Some("FieldValueDuplicate") => Reason::Duplicate,
        _ => Reason::Invalid,
    }
}

fn compilation_errors(schema: &CompiledSchema, found: &mut Violations) {
    for error in schema.compilation_errors() {
        found.push("x-kubernetes-validations", format!("Invalid value: {error}"));
    }
    let combined = [&schema.all_of, &schema.any_of, &schema.one_of].into_iter().flatten();
    let inner = schema.items.iter().chain(&schema.additional_properties).map(|inner| &**inner);
    for schema in schema.properties.values().chain(inner).chain(combined) {
        compilation_errors(schema, found);
    }
}

/// How many elements the longest list or mapping of an object has.
fn longest(object: &Json) -> u64 {
    let (mut longest, mut open) = (1, vec![object]);
    while let Some(json) = open.pop() {
        let count = match json {
            Json::Array(items) => {
                open.extend(items);
                items.len()
            }
            Json::Object(fields) => {
                open.extend(fields.values());
                fields.len()
            }
            _ => 0,
        };
        longest = longest.max(count);
    }
    u64::try_from(longest).unwrap_or(u64::MAX)
}

/// Looks at the rules of a schema before any of them is compiled.
#[derive(Default)]
struct Survey {
    loops: Vec<u32>,
    found: Violations,
}

impl Survey {
    /// `lists` is how many lists or maps the value is an element of: a rule runs for each element.
    fn walk(&mut self, schema: &Json, path: &str, lists: u32, depth: usize) {
        let Json::Object(fields) = schema else { return };
        if depth > MAX_SCHEMA_DEPTH {
            return;
        }
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for (at, rule) in
            fields.get("x-kubernetes-validations").and_then(Json::as_array).into_iter().flatten().enumerate()
        {
            self.rule(rule, &format!("{}[{at}]", below("x-kubernetes-validations")), lists);
        }
        for (name, schema) in fields.get("properties").and_then(Json::as_object).into_iter().flatten() {
            self.walk(schema, &format!("{}[{name}]", below("properties")), lists, depth + 1);
        }
        for name in ["items", "additionalProperties"] {
            if let Some(schema) = fields.get(name) {
                self.walk(schema, &below(name), lists + 1, depth + 1);
            }
        }
        for name in ["allOf", "anyOf", "oneOf"] {
            for schema in fields.get(name).and_then(Json::as_array).into_iter().flatten() {
                self.walk(schema, &below(name), lists, depth + 1);
            }
        }
    }

    fn rule(&mut self, rule: &Json, path: &str, lists: u32) {
        if self.loops.len() >= MAX_RULES {
            self.found.push_as(Reason::TooMany, path, format!("Too many: must have at most {MAX_RULES} rules"));
            return;
        }
        let mut loops = 0;
        for name in ["rule", "messageExpression"] {
            let Some(text) = rule.get(name).and_then(Json::as_str) else { continue };
            match shape(text) {
                Ok(nested) => loops = loops.max(nested),
                Err(reason) => self.found.push(format!("{path}.{name}"), format!("Invalid value: {reason}")),
            }
        }
        if rule.get("rule").and_then(Json::as_str).is_none_or(|text| text.trim().is_empty()) {
            self.found.push_as(Reason::Required, format!("{path}.rule"), "Required value: rule is not specified");
        }
        self.loops.push(loops + lists);
    }
}

/// How many loops of an expression run inside one another.
fn shape(text: &str) -> Result<u32, String> {
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(format!("{} bytes, expected at most {MAX_EXPRESSION_BYTES}", text.len()));
    }
    const LOOPS: [&str; 8] =
        [".all", ".exists", ".exists_one", ".map", ".filter", ".transformList", ".transformMap", ".sortBy"];
    let (mut open, mut nested, mut deepest, mut quote, mut operators) = (Vec::new(), 0_u32, 0_u32, None, 0);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(end), c) if end == c && !text[..at].ends_with('\\') => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[' | '{') => {
                let before = text[..at].trim_end();
                let is_loop = c == '(' && LOOPS.iter().any(|name| before.ends_with(name));
                open.push(is_loop);
                nested += u32::from(is_loop);
                deepest = deepest.max(nested);
            }
            (None, ')' | ']' | '}') => nested -= u32::from(open.pop().unwrap_or(false)),
            (None, '!' | '-' | '?') => operators += 1,
            _ => {}
        }
        // Each of them is a level of recursion for the parser.
        if open.len() > MAX_EXPRESSION_DEPTH || operators > 8 * MAX_EXPRESSION_DEPTH {
            return Err(format!("nests too deep, expected at most {MAX_EXPRESSION_DEPTH} levels"));
        }
    }
    Ok(deepest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn schema(rules: &Json) -> Json {
        json!({"type": "object", "properties": {"spec": {
            "type": "object", "x-kubernetes-validations": rules,
            "properties": {
                "min": {"type": "integer"}, "max": {"type": "integer"}, "name": {"type": "string"},
                "list": {"type": "array", "items": {"type": "integer"}}
            }
        }}})
    }

    fn check(rules: &Json, spec: &Json, old: Option<&Json>) -> Vec<String> {
        let rules = Rules::compile(&schema(rules)).unwrap();
        let old = old.map(|old| json!({ "spec": old }));
        rules
            .validate(&json!({ "spec": spec }), old.as_ref())
            .iter()
            .map(|v| format!("{} {v}", v.reason.as_str()))
            .collect()
    }

    #[test]
    fn a_rule_refuses_with_its_message() {
        let rules = json!([{"rule": "self.min <= self.max", "message": "min must not be above max"}]);
        assert!(check(&rules, &json!({"min": 1, "max": 2}), None).is_empty());
        let found = check(&rules, &json!({"min": 3, "max": 2}), None);
        assert_eq!(found, ["FieldValueInvalid spec: Invalid value: min must not be above max"]);
    }

    #[test]
    fn a_rule_that_compares_runs_on_updates_alone() {
        let rules = json!([{"rule": "self.name == oldSelf.name", "message": "name is immutable", "reason": "FieldValueForbidden", "fieldPath": ".name"}]);
        assert!(check(&rules, &json!({"name": "a"}), None).is_empty());
        assert!(check(&rules, &json!({"name": "a"}), Some(&json!({"name": "a"}))).is_empty());
        let found = check(&rules, &json!({"name": "b"}), Some(&json!({"name": "a"})));
        assert_eq!(found, ["FieldValueForbidden spec.name: Forbidden: name is immutable"]);
    }

    #[test]
    fn a_message_may_be_an_expression() {
        let rules = json!([{"rule": "self.min > 0", "messageExpression": "'min is ' + string(self.min)"}]);
        assert_eq!(check(&rules, &json!({"min": -1}), None), ["FieldValueInvalid spec: Invalid value: min is -1"]);
    }

    #[test]
    fn what_is_no_rule_is_refused_with_the_schema() {
        for (rule, message) in [
            (json!({"rule": "self.min >"}), "failed to compile"),
            (json!({"rule": ""}), "rule is not specified"),
            (json!({"rule": "self.min > 0", "messageExpression": "'"}), "failed to compile"),
            (json!({"rule": format!("self.name == '{}'", "x".repeat(5000))}), "expected at most 4096"),
            (json!({"rule": format!("{}1{}", "(".repeat(500), ")".repeat(500))}), "nests too deep"),
            (json!({"rule": "!".repeat(4000)}), "nests too deep"),
        ] {
            let error = Rules::compile(&schema(&json!([rule]))).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn t8_a_rule_that_would_take_too_long_is_refused_before_it_runs() {
        let rules = json!([{"rule": "self.list.all(a, self.list.all(b, self.list.exists(c, a + b + c > 0)))"}]);
        assert!(check(&rules, &json!({"list": vec![1; 20]}), None).is_empty());
        let found = check(&rules, &json!({"list": vec![1; 1000]}), None);
        assert!(found[0].starts_with("FieldValueTooMany"), "{found:?}");
        let flat = json!([{"rule": "self.list.all(a, a > 0) && self.list.exists(a, a > 0)"}]);
        assert!(check(&flat, &json!({"list": vec![1; 10_000]}), None).is_empty());
    }

    proptest! {
        #[test]
        fn no_rule_makes_it_panic(text in "[self.all()x'\"!+-?:<>=0\\[\\]{}, ]{0,60}") {
            if let Ok(rules) = Rules::compile(&schema(&json!([{ "rule": text }]))) {
                let _outcome = rules.validate(&json!({"spec": {"list": [1]}}), None);
            }
        }
    }
}
