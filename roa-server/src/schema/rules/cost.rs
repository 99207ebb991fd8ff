//! What an expression may cost, told from its syntax tree and the extent of what it looks at.
//!
//! The evaluator has no budget, so the estimate must not be less than what is done. It knows what makes more of a
//! value: loops, concatenation, and some functions; the others give no more than four times what they are given.

use std::collections::HashMap;

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use regex::RegexBuilder;

use super::extent::{Extent, as_u64};

/// How deep a syntax tree may nest: the evaluator recurses.
pub(super) const MAX_DEPTH: usize = 96;
/// How large a regular expression may be that a rule names, in bytes, compiled: it is compiled whenever it is used.
const MAX_PATTERN_BYTES: usize = 256 << 10;
/// How many steps it takes to compile a regular expression that was looked at.
const PATTERN_STEPS: u64 = 1_000;
/// How many steps it takes to compile any regular expression.
const ANY_PATTERN_STEPS: u64 = 100_000;
/// How many values are copied or compared in a step.
const VALUES_PER_STEP: u64 = 16;
/// No value may become larger than this, in values and bytes of text.
const MAX_EXTENT: Extent = Extent { count: 1 << 21, text: 16 << 20, total: 1 << 21, copy: u64::MAX };
/// Operators and functions that give a number or a truth.
const SCALARS: [&str; 25] = [
    operators::LOGICAL_NOT,
    operators::NEGATE,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::IN,
    operators::NOT_STRICTLY_FALSE,
    "size",
    "int",
    "uint",
    "double",
    "bool",
    "timestamp",
    "duration",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "compareTo",
    "sum",
];
/// Functions that give no more than they are given.
const WITHIN: [&str; 16] = [
    "trim",
    "lowerAscii",
    "upperAscii",
    "substring",
    "charAt",
    "find",
    "slice",
    "first",
    "last",
    "min",
    "max",
    "reverse",
    "orValue",
    "value",
    "dyn",
    operators::OPT_SELECT,
];

/// Whether an expression can be evaluated at all: its syntax tree is not too deep, and the evaluator knows all that is
/// in it. Gives its depth. Looks at each level without recursion.
pub(super) fn check(expression: &IdedExpr) -> Result<usize, String> {
    let (mut open, mut deepest) = (vec![(expression, 1)], 0);
    while let Some((at, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Err(format!("nests too deep, expected at most {MAX_DEPTH} levels"));
        }
        match &at.expr {
            Expr::Struct(of) => return Err(format!("makes a message {:?}, and there are no messages", of.type_name)),
            Expr::Unspecified => return Err("is incomplete".to_owned()),
            Expr::Call(call) => check_call(call)?,
            _ => {}
        }
        deepest = deepest.max(depth);
        open.extend(parts(at).into_iter().map(|part| (part, depth + 1)));
    }
    Ok(deepest)
}

fn parts(expression: &IdedExpr) -> Vec<&IdedExpr> {
    match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) => Vec::new(),
        Expr::Call(call) => operands(call).collect(),
        Expr::Comprehension(of) => vec![&of.iter_range, &of.accu_init, &of.loop_cond, &of.loop_step, &of.result],
        Expr::List(of) => of.elements.iter().collect(),
        Expr::Map(of) => of.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Select(of) => vec![&of.operand],
    }
}

fn entry_parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}

/// What a function is called on, and its arguments.
fn operands(call: &CallExpr) -> impl Iterator<Item = &IdedExpr> {
    call.target.as_deref().into_iter().chain(&call.args)
}

fn check_call(call: &CallExpr) -> Result<(), String> {
    let Some(pattern) = pattern(call).and_then(literal) else { return Ok(()) };
    match RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build() {
        Err(regex::Error::CompiledTooBig(_)) => {
            Err(format!("a regular expression is larger than {MAX_PATTERN_BYTES} bytes when compiled"))
        }
        // One that is none fails where it is used: nothing is compiled then.
        _ => Ok(()),
    }
}

/// The regular expression that a call compiles.
fn pattern(call: &CallExpr) -> Option<&IdedExpr> {
    matches!(call.func_name.as_str(), "matches" | "find" | "findAll").then(|| operands(call).nth(1)).flatten()
}

fn literal(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// How many steps an expression may take on values of these extents; `u64::MAX` if a value may become too large.
pub(super) fn steps(expression: &IdedExpr, of_self: Extent) -> u64 {
    let mut estimate = Estimate { steps: 0, times: 1, of_self, variables: HashMap::new() };
    let _result = estimate.value(expression);
    estimate.steps
}

struct Estimate<'a> {
    steps: u64,
    /// How often the part that is looked at is evaluated.
    times: u64,
    /// The extent of `self`, `oldSelf` and whatever else rules are given.
    of_self: Extent,
    variables: HashMap<&'a str, Extent>,
}

impl<'a> Estimate<'a> {
    /// Counts the steps of an expression; gives the extent of its value. Its depth was checked.
    fn value(&mut self, expression: &'a IdedExpr) -> Extent {
        self.spend(1);
        let value = match &expression.expr {
            Expr::Unspecified | Expr::Struct(_) => Extent::UNKNOWN,
            Expr::Literal(literal) => of_literal(literal),
            Expr::Ident(name) => self.variables.get(name.as_str()).copied().unwrap_or(self.of_self),
            Expr::Select(select) => {
                let whole = self.value(&select.operand);
                // It is copied.
                self.spend(whole.copy / VALUES_PER_STEP);
                if select.test { Extent::SCALAR } else { whole }
            }
            Expr::List(_) | Expr::Map(_) => {
                let parts = parts(expression);
                let count = as_u64(parts.len());
                let all = parts.into_iter().map(|part| self.value(part)).fold(Extent::SCALAR, Extent::with);
                Extent { count: all.count.max(count), ..all }
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(of) => self.comprehension(of),
        };
        if value.exceeds(MAX_EXTENT) {
            self.steps = u64::MAX;
        }
        value
    }

    const fn spend(&mut self, steps: u64) {
        self.steps = self.steps.saturating_add(steps.saturating_mul(self.times));
    }

    /// A loop: each step may add to what came of those before it.
    fn comprehension(&mut self, of: &'a ComprehensionExpr) -> Extent {
        let range = self.value(&of.iter_range);
        let begin = self.value(&of.accu_init);
        let before = self.times;
        let shadowed = [(of.iter_var.as_str(), range.element()), (of.accu_var.as_str(), Extent::default())]
            .map(|(name, extent)| (name, self.variables.insert(name, extent)));
        self.times = before.saturating_mul(range.count);
        let _truth = self.value(&of.loop_cond);
        let added = self.value(&of.loop_step);
        // What elements add is counted on average where this is the only loop, so that the average is of its elements.
        let each = if before == 1 { added.copy } else { added.total };
        let whole = begin.and(Extent { total: each, ..added }.list_of(range.count));
        let outcome = if is_list(&of.accu_init) { whole } else { Extent::SCALAR };
        // What has come so far is copied each time, each element once.
        self.spend(outcome.copy / VALUES_PER_STEP);
        self.times = before;
        self.spend(range.copy / VALUES_PER_STEP);
        self.variables.insert(&of.accu_var, outcome);
        let result = self.value(&of.result);
        for (name, extent) in shadowed {
            match extent {
                Some(extent) => self.variables.insert(name, extent),
                None => self.variables.remove(name),
            };
        }
        result
    }

    fn call(&mut self, call: &'a CallExpr) -> Extent {
        let known: Vec<Extent> = operands(call).map(|operand| self.value(operand)).collect();
        let nth = |at: usize| known.get(at).copied().unwrap_or(Extent::SCALAR);
        let any = known.iter().copied().fold(Extent::SCALAR, Extent::or);
        match call.func_name.as_str() {
            operators::LOGICAL_AND | operators::LOGICAL_OR => return Extent::SCALAR,
            operators::CONDITIONAL => return nth(1).or(nth(2)),
            operators::EQUALS | operators::NOT_EQUALS => {
                self.spend(nth(0).copy.min(nth(1).copy) / VALUES_PER_STEP);
                return Extent::SCALAR;
            }
            _ => {}
        }
        // Operands are copied, and looked at.
        self.spend(known.iter().fold(0, |sum: u64, known| sum.saturating_add(known.copy)) / VALUES_PER_STEP);
        self.spend_more(call, any);
        match call.func_name.as_str() {
            operators::ADD => nth(0).and(nth(1)),
            operators::INDEX | operators::OPT_INDEX | "distinct" | "sort" => nth(0),
            "replace" => {
                let grown = nth(0).text.saturating_add(1).saturating_mul(nth(2).text);
                Extent::of_text(nth(0).text.saturating_add(grown))
            }
            "join" => Extent::of_text(nth(0).as_text().saturating_add(nth(0).count.saturating_mul(nth(1).text))),
            "format" => formatted(call, nth(0), nth(1)),
            "lists.range" | "range" => self.range(call),
            "split" | "findAll" => {
                let count = nth(0).text.saturating_add(1);
                Extent { text: nth(0).text, ..Extent::SCALAR.list_of(count.saturating_mul(2)) }
            }
            "flatten" => Extent { count: nth(0).total, ..nth(0) },
            name if SCALARS.contains(&name) || is_of_sets(call) => Extent::SCALAR,
            name if WITHIN.contains(&name) => any,
            _ => larger(any),
        }
    }

    /// `lists.range(n)`: only of a literal or a size can be told how long that is.
    fn range(&mut self, call: &'a CallExpr) -> Extent {
        let Some(argument) = call.args.first() else { return Extent::SCALAR };
        let count = match &argument.expr {
            Expr::Literal(LiteralValue::Int(count)) => u64::try_from(*count.inner()).unwrap_or_default(),
            Expr::Call(size) if size.func_name == "size" => {
                let of = operands(size).map(|operand| self.value(operand)).fold(Extent::SCALAR, Extent::or);
                of.count.max(of.text)
            }
            _ => u64::MAX,
        };
        Extent::SCALAR.list_of(count)
    }

    /// What some functions do besides looking at each operand once.
    fn spend_more(&mut self, call: &CallExpr, any: Extent) {
        if let Some(pattern) = pattern(call) {
            self.spend(if literal(pattern).is_some() { PATTERN_STEPS } else { ANY_PATTERN_STEPS });
            self.spend(any.text);
        }
        let each_with_each = matches!(call.func_name.as_str(), "distinct" | "sort" | "isSorted");
        if each_with_each || is_of_sets(call) {
            self.spend(any.count.saturating_mul(any.total) / VALUES_PER_STEP);
        }
    }
}

/// `sets.contains` and the like.
fn is_of_sets(call: &CallExpr) -> bool {
    let of_sets = |target: &IdedExpr| matches!(&target.expr, Expr::Ident(name) if name == "sets");
    call.func_name.starts_with("sets.") || call.target.as_deref().is_some_and(of_sets)
}

/// What a function gives that is not known to give less.
fn larger(of: Extent) -> Extent {
    let text = of.text.saturating_mul(4).saturating_add(64);
    Extent { count: of.count, text, ..of.with(Extent::of_text(text)) }
}

/// Whether a loop makes a list: then what it makes grows, else it is a truth or a number.
const fn is_list(begin: &IdedExpr) -> bool {
    matches!(begin.expr, Expr::List(_) | Expr::Map(_))
}

fn of_literal(literal: &LiteralValue) -> Extent {
    match literal {
        LiteralValue::String(text) => Extent::of_text(as_u64(text.inner().len())),
        LiteralValue::Bytes(bytes) => Extent::of_text(as_u64(bytes.inner().len())),
        _ => Extent::SCALAR,
    }
}

/// `'%.3f of %s'.format([..])`: only of a literal can be told how much its numbers ask for.
fn formatted(call: &CallExpr, format: Extent, arguments: Extent) -> Extent {
    let Some(text) = call.target.as_deref().and_then(literal) else { return Extent::UNKNOWN };
    let precisions = text.split("%.").skip(1).map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u64::MAX) }
    });
    let asked = precisions.fold(0, u64::saturating_add);
    // Numbers take up to 400 places.
    let shown = arguments.as_text().saturating_mul(8).saturating_add(arguments.total.saturating_mul(400));
    Extent::of_text(format.text.saturating_add(asked).saturating_add(shown))
}
