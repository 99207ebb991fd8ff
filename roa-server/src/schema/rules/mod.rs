//! `x-kubernetes-validations`: rules in CEL, evaluated by `kube-cel`, which knows the function libraries of Kubernetes.
//!
//! Neither its parser nor its evaluator has a budget of its own. So an expression is looked at before it is parsed, on
//! a stack that fits; and what evaluating it may cost is estimated, from its syntax tree and the object, before it is
//! run. What is too deep or would cost too much is refused.
//!
//! # Layout
//! - `scan`: whether an expression can be parsed
//! - `cost`: what it costs on values of some `extent`
//! - `places`: how much that is for all rules of a schema, on an object

mod cost;
mod extent;
mod places;
mod scan;

use std::{fmt, thread};

use kube_cel::{CompiledSchema, Validator, compile_schema};
use roa_core::{ViolationReason as Reason, Violations};
use serde_json::Value as Json;
use tokio::runtime::{Handle, RuntimeFlavor};

use self::places::{below, expressions};
use super::{MAX_SCHEMA_DEPTH, MAX_VIOLATIONS};

/// How many rules a schema may have.
const MAX_RULES: usize = 200;
/// How many steps all rules of a schema may take on one object.
const MAX_STEPS: u64 = 2_000_000;
/// Rules that may take more steps than this keep no other request waiting for the thread that they run on.
const MAX_STEPS_BESIDE_OTHERS: u64 = 10_000;
/// Rules whose syntax tree is deeper than this are evaluated on a stack of their own.
const MAX_DEPTH_ON_ANY_STACK: usize = 24;
/// The stack on which rules are parsed: enough for the longest chain of operators that an expression has room for.
const PARSER_STACK: usize = 64 << 20;
/// The stack on which deep rules are evaluated.
const EVALUATOR_STACK: usize = 16 << 20;

/// The rules of a schema, compiled once.
pub(super) struct Rules {
    compiled: Option<Compiled>,
}

struct Compiled {
    schema: CompiledSchema,
    /// How deep the deepest syntax tree is.
    depth: usize,
}

impl Rules {
    pub(super) const fn none() -> Self {
        Self { compiled: None }
    }

    pub(super) fn compile(schema: &Json) -> Result<Self, Violations> {
        let mut survey = Survey::default();
        survey.walk(schema, "", 0);
        survey.found.into_result()?;
        if survey.rules == 0 {
            return Ok(Self::none());
        }
        let compiled = on_a_stack_of(PARSER_STACK, || Compiled::of(schema))??;
        Ok(Self { compiled: Some(compiled) })
    }

    pub(super) fn validate(&self, object: &Json, old: Option<&Json>) -> Violations {
        let Some(compiled) = &self.compiled else { return Violations::none() };
        let values: Vec<&Json> = old.into_iter().chain([object]).collect();
        let steps = places::steps(&compiled.schema, &values);
        if steps > MAX_STEPS {
            let about = if steps == u64::MAX { "too many".to_owned() } else { format!("about {steps}") };
            let mut found = Violations::none();
            let message =
                format!("Invalid value: rules may take {about} steps on this object, expected at most {MAX_STEPS}");
            found.push_as(Reason::TooMany, "", message);
            return found;
        }
        let is_shared = || Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::MultiThread);
        if steps > MAX_STEPS_BESIDE_OTHERS && is_shared() {
            tokio::task::block_in_place(|| compiled.evaluate(object, old))
        } else {
            compiled.evaluate(object, old)
        }
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.compiled.is_some() { "Rules(some)" } else { "Rules(none)" })
    }
}

impl Compiled {
    /// Also what is not taken is dropped here: that recurses, too.
    fn of(schema: &Json) -> Result<Self, Violations> {
        let compiled = Self { schema: compile_schema(schema), depth: 0 };
        let mut found = Violations::none();
        let depth = check(&compiled.schema, &mut found);
        found.into_result()?;
        Ok(Self { depth, ..compiled })
    }

    fn evaluate(&self, object: &Json, old: Option<&Json>) -> Violations {
        let evaluate = || evaluate(&self.schema, object, old);
        if self.depth <= MAX_DEPTH_ON_ANY_STACK {
            return evaluate();
        }
        on_a_stack_of(EVALUATOR_STACK, evaluate).unwrap_or_else(|failed| failed)
    }
}

/// What `work` gives on a thread with such a stack; or that it did not end there.
fn on_a_stack_of<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> Result<T, Violations> {
    let failed = |reason: &str| {
        Violations::one("x-kubernetes-validations", format!("Invalid value: can't be worked on: {reason}"))
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("roa-rules".to_owned()).stack_size(bytes);
        let working = thread.spawn_scoped(scope, work).map_err(|error| failed(&error.to_string()))?;
        working.join().map_err(|_| failed("the library fails on it"))
    })
}

/// Finds what is wrong with the rules of a schema and of those below; gives the depth of the deepest syntax tree.
fn check(schema: &CompiledSchema, found: &mut Violations) -> usize {
    let mut deepest = 0;
    let mut refuse = |reason: &dyn fmt::Display| {
        found.push("x-kubernetes-validations", format!("Invalid value: {reason}"));
    };
    for rule in &schema.validations {
        match rule {
            Err(error) => refuse(error),
            Ok(rule) => {
                for checked in expressions(rule).map(cost::check) {
                    match checked {
                        Ok(depth) => deepest = deepest.max(depth),
                        Err(reason) => refuse(&reason),
                    }
                }
            }
        }
    }
    below(schema).fold(deepest, |deepest, (_, inner)| deepest.max(check(inner, found)))
}

fn evaluate(compiled: &CompiledSchema, object: &Json, old: Option<&Json>) -> Violations {
    let mut found = Violations::none();
    let Err(errors) = Validator::new().validate_compiled(compiled, object, old) else { return found };
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
    found
}

fn reason(name: Option<&str>) -> Reason {
    match name {
        Some("FieldValueRequired") => Reason::Required,
        Some("FieldValueForbidden") => Reason::Forbidden,
        Some("FieldValueDuplicate") => Reason::Duplicate,
        _ => Reason::Invalid,
    }
}

/// Looks at the rules of a schema before any of them is compiled.
#[derive(Default)]
struct Survey {
    rules: usize,
    found: Violations,
}

impl Survey {
    fn walk(&mut self, schema: &Json, path: &str, depth: usize) {
        let Json::Object(fields) = schema else { return };
        if depth > MAX_SCHEMA_DEPTH {
            return;
        }
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for (at, rule) in
            fields.get("x-kubernetes-validations").and_then(Json::as_array).into_iter().flatten().enumerate()
        {
            self.rule(rule, &format!("{}[{at}]", below("x-kubernetes-validations")));
        }
        for (name, schema) in fields.get("properties").and_then(Json::as_object).into_iter().flatten() {
            self.walk(schema, &format!("{}[{name}]", below("properties")), depth + 1);
        }
        for name in ["items", "additionalProperties"] {
            if let Some(schema) = fields.get(name) {
                self.walk(schema, &below(name), depth + 1);
            }
        }
        for name in ["allOf", "anyOf", "oneOf"] {
            for schema in fields.get(name).and_then(Json::as_array).into_iter().flatten() {
                self.walk(schema, &below(name), depth + 1);
            }
        }
    }

    fn rule(&mut self, rule: &Json, path: &str) {
        self.rules += 1;
        if self.rules > MAX_RULES {
            self.found.push_as(Reason::TooMany, path, format!("Too many: must have at most {MAX_RULES} rules"));
            return;
        }
        for name in ["rule", "messageExpression"] {
            let Some(text) = rule.get(name).and_then(Json::as_str) else { continue };
            if let Err(reason) = scan::check(text) {
                self.found.push(format!("{path}.{name}"), format!("Invalid value: {reason}"));
            }
        }
        if rule.get("rule").and_then(Json::as_str).is_none_or(|text| text.trim().is_empty()) {
            self.found.push_as(Reason::Required, format!("{path}.rule"), "Required value: rule is not specified");
        }
    }
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
        let found = check(&flat, &json!({"list": vec![1; 10_000]}), None);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn t8_text_and_comments_hide_nothing() {
        let deep = "(".repeat(1900);
        for before in [r"'\\' == '\\' && ", r"r'\' != '' && ", "''' \" ''' != '' && ", "// it's\n"] {
            let rules = json!([{ "rule": format!("{before}{deep}") }]);
            let error = Rules::compile(&schema(&rules)).unwrap_err().to_string();
            assert!(error.contains("nests too deep"), "{before}: {error}");
            let loops = "self.list.all(a, self.list.all(b, self.list.all(c, a + b + c > 0)))";
            let found = check(&json!([{ "rule": format!("{before}{loops}") }]), &json!({"list": vec![1; 300]}), None);
            assert!(found[0].starts_with("FieldValueTooMany"), "{before}: {found:?}");
        }
    }

    #[test]
    fn t8_what_grows_or_makes_lists_is_refused_before_it_runs() {
        for rule in [
            format!("['aaaaaaaa']{}.size() > 0", ".map(y, y + y + y + y)".repeat(20)),
            format!("'a'{}.size() > 0", ".replace('a', 'aaaaaaaaaaaaaaaa')".repeat(20)),
            "lists.range(1000000000).all(a, a >= 0)".to_owned(),
            "lists.range(self.min).all(a, a >= 0)".to_owned(),
            "lists.range(2000).all(a, lists.range(2000).all(b, a + b >= 0))".to_owned(),
            "'%.999999999f'.format([1.0]) != ''".to_owned(),
            "lists.range(2000).all(a, 'x'.matches('y{1000}' + 'z'))".to_owned(),
            "[1, 2].map(a, lists.range(2000)).map(a, a + a).exists(a, a.all(b, a.exists(c, b == c)))".to_owned(),
        ] {
            let found = check(&json!([{ "rule": rule }]), &json!({"min": 1_000_000_000, "list": [1]}), None);
            assert!(found[0].starts_with("FieldValueTooMany"), "{rule}: {found:?}");
        }
        for (rule, reason) in [
            ("'x'.matches('(a{100}){100}{100}')", "regular expression"),
            ("Thing{a: 1} == self", "no messages"),
            (&*format!("1{} > 0", "+1".repeat(2000)), "nests too deep"),
            (&*format!("self{} > 0", "[0]".repeat(1300)), "nests too deep"),
        ] {
            let error = Rules::compile(&schema(&json!([{ "rule": rule }]))).unwrap_err().to_string();
            assert!(error.contains(reason), "{rule}: {error}");
        }
    }

    #[test]
    fn the_deepest_rule_is_evaluated_on_the_stack_of_any_thread() {
        for depth in [MAX_DEPTH_ON_ANY_STACK, cost::MAX_DEPTH] {
            let rules = json!([{"rule": format!("1{} > 0", "+1".repeat(depth - 2))}]);
            assert!(check(&rules, &json!({"min": 1}), None).is_empty(), "{depth}");
        }
    }

    #[test]
    fn rules_that_are_common_are_within_bounds() {
        let listener = |n| json!({"name": format!("listener-{n}"), "port": n, "protocol": "HTTP", "hostname": format!("{n}.example.com")});
        let listeners: Vec<_> = (0..64).map(listener).collect();
        let rules = json!([
            {"rule": "self.all(l, l.protocol in ['HTTP', 'TLS'] && l.hostname.matches('^[a-z0-9.]+$'))"},
            {"rule": "self.all(a, self.exists_one(b, a.port == b.port && a.hostname == b.hostname))"},
            {
                "rule": "self.map(l, l.name).join(',').size() < 4096",
                "messageExpression": "'names take %d bytes'.format([self.map(l, l.name).join(',').size()])"
            }
        ]);
        let schema = json!({"type": "object", "properties": {"spec": {
            "type": "array", "x-kubernetes-validations": rules,
            "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}
        }}});
        let found = Rules::compile(&schema).unwrap().validate(&json!({ "spec": listeners }), None);
        assert!(found.is_empty(), "{found:?}");
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
