//! What a schema says of values: bounds, patterns, formats, and combinations of schemas.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::{Number, Value as Json};

use super::format::Format;
use super::node::Node;

/// What a schema says of a value besides its type.
#[derive(Debug, Clone, Default)]
pub(crate) struct ValueRules {
    pub(crate) required: Vec<String>,
    pub(crate) allowed: Option<Vec<Json>>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) multiple_of: Option<Number>,
    pub(crate) format: Option<Format>,
    pub(crate) pattern: Option<Regex>,
    pub(crate) length: Range,
    pub(crate) items: Range,
    pub(crate) unique: bool,
    pub(crate) fields: Range,
    pub(crate) all_of: Vec<Node>,
    pub(crate) any_of: Vec<Node>,
    pub(crate) one_of: Vec<Node>,
    pub(crate) not: Option<Box<Node>>,
}

/// The least or the greatest number that is allowed.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) value: Number,
    /// The number itself is not allowed.
    pub(crate) exclusive: bool,
}

/// How many there may be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Range {
    pub(crate) min: Option<u64>,
    pub(crate) max: Option<u64>,
}

impl Range {
    /// The most there may be, if there are more.
    pub(crate) fn exceeded_by(&self, count: usize) -> Option<u64> {
        self.max.filter(|max| as_u64(count) > *max)
    }

    /// The least there may be, if there are fewer.
    pub(crate) fn missed_by(&self, count: usize) -> Option<u64> {
        self.min.filter(|min| as_u64(count) < *min)
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl Bound {
    pub(crate) fn allows_from_below(&self, number: &Number) -> bool {
        self.allows(compare(number, &self.value), Ordering::Less)
    }

    pub(crate) fn allows_from_above(&self, number: &Number) -> bool {
        self.allows(compare(number, &self.value), Ordering::Greater)
    }

    fn allows(&self, order: Option<Ordering>, inside: Ordering) -> bool {
        order == Some(inside) || (order == Some(Ordering::Equal) && !self.exclusive)
    }
}

/// Exact for whole numbers of any size.
fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

pub(crate) fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// Whether a number is a multiple of another, which is not 0.
pub(crate) fn is_multiple(number: &Number, of: &Number) -> bool {
    match (whole(number), whole(of)) {
        (Some(number), Some(of)) => of != 0 && number % of == 0,
        _ => {
            let (Some(number), Some(of)) = (number.as_f64(), of.as_f64()) else { return false };
            let quotient = number / of;
            (quotient - quotient.round()).abs() <= f64::EPSILON * quotient.abs().max(1.0)
        }
    }
}

/// Whether two values are the same: numbers by what they are worth.
pub(crate) fn equal(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => compare(left, right) == Some(Ordering::Equal),
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn number(json: Json) -> Number {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn whole_numbers_compare_exactly() {
        let max = Bound { value: number(json!(9_007_199_254_740_992_i64)), exclusive: false };
        assert!(max.allows_from_below(&number(json!(9_007_199_254_740_992_i64))));
        assert!(!max.allows_from_below(&number(json!(9_007_199_254_740_993_i64))));
        let min = Bound { value: number(json!(0.5)), exclusive: true };
        assert!(!min.allows_from_above(&number(json!(0.5))) && min.allows_from_above(&number(json!(1))));
    }

    #[test]
    fn multiples_are_found_with_and_without_fractions() {
        assert!(
            is_multiple(&number(json!(9)), &number(json!(3))) && !is_multiple(&number(json!(10)), &number(json!(3)))
        );
        assert!(
            is_multiple(&number(json!(0.3)), &number(json!(0.1)))
                && !is_multiple(&number(json!(0.35)), &number(json!(0.1)))
        );
    }

    #[test]
    fn numbers_are_equal_by_worth() {
        assert!(equal(&json!(1), &json!(1.0)) && !equal(&json!(1), &json!("1")));
    }
}
