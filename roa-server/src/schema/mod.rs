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

use roa_core::{KindDescriptor, Violations};
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

    /// The schema of a kind: its own, compiled; that of anything if it has none or one that can't be compiled, since then
    /// the kind's own rules are all that there is.
    #[must_use]
    pub fn of(kind: &KindDescriptor) -> Self {
        let compiled = kind.schema.as_deref().map(Self::compile).and_then(Result::ok);
        compiled.unwrap_or_else(Self::untyped)
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

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::{Conditions, HumanDuration, KindDescriptor, Scope, Spec, structural_schema};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Backup {
        source: String,
        #[serde(default)]
        copies: u32,
        every: Option<HumanDuration>,
        mode: Option<Mode>,
    }

    #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
    enum Mode {
        /// All of it.
        Full,
        /// What changed.
        Difference,
    }

    #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
    struct BackupStatus {
        conditions: Conditions,
    }

    impl Spec for Backup {
        type Status = BackupStatus;
        const GROUP: &'static str = "example.com";
        const VERSION: &'static str = "v1";
        const KIND: &'static str = "Backup";
        const PLURAL: &'static str = "backups";
        const SCOPE: Scope = Scope::Namespaced;

        fn schema() -> Option<Json> {
            Some(structural_schema::<Self>())
        }
    }

    #[test]
    fn the_schema_of_a_rust_type_is_structural_and_takes_what_the_type_takes() {
        let kind = KindDescriptor::of::<Backup>();
        assert_eq!(check(kind.schema.as_deref().unwrap()).to_string(), "");
        assert_eq!(crate::crd::check(&crate::crd::to_crd(&kind)).to_string(), "");
        let schema = Structural::of(&kind);
        let mut object = json!({
            "metadata": {"name": "a"}, "spec": {"source": "x", "every": null, "mode": "Full"}, "status": {"conditions": [], "other": 1}
        });
        assert!(schema.validate(&object, None).is_empty() && schema.prune(&mut object).is_empty());
        schema.default(&mut object);
        assert_eq!(object["spec"], json!({"source": "x", "every": null, "mode": "Full", "copies": 0}));
        object["spec"] = json!({"copies": -1, "mode": "Half", "colour": "red"});
        assert_eq!(schema.prune(&mut object), ["spec.colour"]);
        let fields: Vec<_> = schema.validate(&object, None).iter().map(|violation| violation.path.clone()).collect();
        assert_eq!(fields, ["spec.source", "spec.copies", "spec.mode"]);
    }

    #[test]
    fn a_kind_without_a_schema_takes_anything_but_wrong_metadata() {
        let schema = Structural::of(&KindDescriptor::dynamic("g", "v1", "Any", "anies", Scope::Cluster));
        let mut object = json!({"kind": "Any", "metadata": {"name": "a"}, "data": {"a": [null]}, "spec": null});
        let before = object.clone();
        assert!(schema.prune(&mut object).is_empty() && schema.validate(&object, None).is_empty());
        schema.default(&mut object);
        assert_eq!(object, before);
        object["metadata"]["colour"] = json!(1);
        assert_eq!(schema.prune(&mut object), ["metadata.colour"]);
    }
}
