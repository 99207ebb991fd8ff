//! Structural schemas: validation, defaults, pruning.
//!
//! # Layout
//! - What a schema says, compiled once: `node`, `compile`; whether it is structural: [`check`]
//! - What it makes of an object: `validate`, `values`, `format`; `default`; `prune`
//! - Rules in CEL, with the feature `cel`: `rules`

mod check;
mod compile;
mod default;
mod format;
mod node;
mod path;
mod prune;
#[cfg(feature = "cel")]
mod rules;
mod validate;
mod values;

pub use check::check;
pub(crate) use node::{ListKind, Node};

use roa_core::Violations;
use serde_json::Value as Json;

/// How deep a schema may nest.
pub const MAX_SCHEMA_DEPTH: usize = 60;
/// How many schemas a schema may be made of.
pub const MAX_SCHEMA_NODES: usize = 50_000;
/// How many violations of one object are told.
pub const MAX_VIOLATIONS: usize = 100;

/// The structural schema of a kind's objects, compiled.
///
/// ```
/// use roa_server::schema::Structural;
/// use serde_json::json;
///
/// let schema = Structural::compile(&json!({
///     "type": "object",
///     "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1, "default": 3}}}}
/// }))?;
/// let mut object = json!({"metadata": {"name": "a"}, "spec": {"colour": "red"}});
/// assert_eq!(schema.prune(&mut object), ["spec.colour"]);
/// schema.default(&mut object);
/// assert_eq!(object["spec"], json!({"size": 3}));
/// assert!(schema.validate(&object, None).is_empty());
/// # Ok::<(), roa_core::Violations>(())
/// ```
#[derive(Debug)]
pub struct Structural {
    root: Node,
    #[cfg(feature = "cel")]
    rules: rules::Rules,
}

impl Structural {
    /// Compiles the schema of whole objects, as a CustomResourceDefinition has it. Schemas that are not quite structural
    /// are taken too: [`check`] says what else Kubernetes would refuse.
    ///
    /// # Errors
    /// All that can't be compiled, with paths below the schema: keywords of a wrong type, patterns that are none or too
    /// large, rules that are no CEL, too much of anything.
    pub fn compile(schema: &Json) -> Result<Self, Violations> {
        let root = compile::compile(schema)?;
        Ok(Self {
            root,
            #[cfg(feature = "cel")]
            rules: rules::Rules::compile(schema)?,
        })
    }

    /// The same without its rules in CEL.
    fn without_rules(schema: &Json) -> Result<Self, Violations> {
        let mut this = Self::untyped();
        this.root = compile::compile(schema)?;
        Ok(this)
    }

    /// The schema of a kind that has none: anything but `metadata` is taken as it is.
    #[must_use]
    pub fn untyped() -> Self {
        Self {
            root: compile::untyped(),
            #[cfg(feature = "cel")]
            rules: rules::Rules::none(),
        }
    }

    /// All that is wrong with an object, at most [`MAX_VIOLATIONS`]; given the old one on an update, rules that compare
    /// both are looked at too.
    #[must_use]
    pub fn validate(&self, object: &Json, old: Option<&Json>) -> Violations {
        let found = validate::validate(&self.root, object);
        #[cfg(feature = "cel")]
        if found.is_empty() {
            return self.rules.validate(object, old);
        }
        let _only_rules_compare = old;
        found
    }

    /// Fills in what is missing and has a default; what is null and must not be goes.
    pub fn default(&self, object: &mut Json) {
        default::default(&self.root, object);
    }

    /// Takes fields away that the schema does not have; gives their paths, such as `spec.colour`.
    pub fn prune(&self, object: &mut Json) -> Vec<String> {
        prune::prune(&self.root, object)
    }

    pub(crate) const fn root(&self) -> &Node {
        &self.root
    }
}
