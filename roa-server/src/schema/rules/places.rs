//! Where in an object the rules of a schema look, and what that costs in all.

use kube_cel::cel::{IdedExpr, Program};
use kube_cel::{CompilationResult, CompiledSchema};
use serde_json::Value as Json;

use super::cost;
use super::extent::{Extent, as_u64};

/// The rule and its message, if that is an expression.
pub(super) fn expressions(rule: &CompilationResult) -> impl Iterator<Item = &IdedExpr> {
    [Some(&rule.program), rule.message_program.as_ref()].into_iter().flatten().map(Program::expression)
}

/// Which part of a value a schema within a schema is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    Whole,
    Field(&'a str),
    Each,
}

/// The schemas within a schema.
pub(super) fn below(schema: &CompiledSchema) -> impl Iterator<Item = (Part<'_>, &CompiledSchema)> {
    let fields = schema.properties.iter().map(|(name, inner)| (Part::Field(name), inner));
    let each = schema.items.iter().chain(&schema.additional_properties).map(|inner| (Part::Each, &**inner));
    let whole = [&schema.all_of, &schema.any_of, &schema.one_of].into_iter().flatten();
    fields.chain(each).chain(whole.map(|inner| (Part::Whole, inner)))
}

/// How many steps the rules of a schema and of all below it may take on these values: the new one and the old one of
/// each place that it is about. A default counts as one more, since it stands where a value is missing.
pub(super) fn steps(schema: &CompiledSchema, values: &[&Json]) -> u64 {
    let values: Vec<&Json> = values.iter().copied().chain(&schema.default).collect();
    if values.is_empty() {
        return 0;
    }
    let mut sum = 0_u64;
    if !schema.validations.is_empty() {
        let largest = values.iter().map(|value| Extent::of(value)).fold(Extent::SCALAR, Extent::or);
        let rules = schema.validations.iter().flatten();
        let once = rules.flat_map(expressions).map(|expression| cost::steps(expression, largest));
        sum = once.fold(0, u64::saturating_add).saturating_mul(as_u64(values.len()));
    }
    for (part, inner) in below(schema) {
        let values: Vec<&Json> = match part {
            Part::Whole => values.clone(),
            Part::Field(name) => values.iter().filter_map(|value| value.get(name)).collect(),
            Part::Each => values.iter().flat_map(|value| elements(value)).collect(),
        };
        sum = sum.saturating_add(steps(inner, &values));
    }
    sum
}

fn elements(value: &Json) -> Vec<&Json> {
    match value {
        Json::Array(items) => items.iter().collect(),
        Json::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}
