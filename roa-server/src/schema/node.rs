//! What a schema says of one value.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::values::ValueRules;

/// What a schema says of one value, and of what is in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// Which type it must be; any, if it does not say.
    pub(crate) expected: Option<Type>,
    pub(crate) nullable: bool,
    pub(crate) int_or_string: bool,
    /// Fields that are not in `properties` stay.
    pub(crate) preserve_unknown: bool,
    /// Shared, since all kinds have the same `metadata`; and small, since a mapping keeps room for many.
    pub(crate) properties: BTreeMap<String, Arc<Self>>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<Box<Self>>,
    pub(crate) list: ListKind,
    /// A mapping that is owned as a whole.
    pub(crate) atomic: bool,
    pub(crate) default: Option<Json>,
    pub(crate) values: ValueRules,
}

/// What fields besides `properties` may be.
#[derive(Debug, Clone, Default)]
pub(crate) enum Additional {
    /// There are none.
    #[default]
    None,
    /// Anything.
    Any,
    /// Each is like this: a map.
    Each(Box<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// How the elements of a list are told apart by those who own them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// Not at all: it is owned as a whole.
    #[default]
    Atomic,
    /// By their values.
    Set,
    /// By the values of these fields.
    Map(Vec<String>),
}

impl Node {
    /// What a field of this value is, if the schema says so.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        match (self.properties.get(name), &self.additional) {
            (Some(node), _) => Some(node),
            (None, Additional::Each(node)) => Some(node),
            (None, _) => None,
        }
    }

    /// Whether a value is owned as a whole, with all that is in it.
    pub(crate) fn is_whole(&self) -> bool {
        match self.expected {
            Some(Type::Object) => self.atomic,
            Some(Type::Array) => self.list == ListKind::Atomic,
            Some(_) => true,
            None => self.atomic || self.int_or_string,
        }
    }

    /// Whether fields that are not in `properties` stay.
    pub(crate) const fn is_open(&self) -> bool {
        self.preserve_unknown || !matches!(self.additional, Additional::None)
    }
}

impl Type {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    /// Whether a value is of this type; a number without a fraction is an integer however it is written.
    pub(crate) fn fits(self, value: &Json) -> bool {
        match self {
            Self::Object => value.is_object(),
            Self::Array => value.is_array(),
            Self::String => value.is_string(),
            Self::Boolean => value.is_boolean(),
            Self::Number => value.is_number(),
            Self::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
        }
    }
}
