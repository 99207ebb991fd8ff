//! [`Spec`]: the one trait that makes a kind. [`KindDescriptor`]: a kind as data, at run time. [`KindRegistry`].

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{ConditionStatus, Conditions, DynamicObject, Error, Key, KeyPrefix, Result, StateMachine, Violations};

/// Whether objects of a kind live in namespaces.
///
/// ```
/// use roa_core::{KindDescriptor, Scope};
/// let kind = KindDescriptor::dynamic("example.com", "v1", "Region", "regions", Scope::Cluster);
/// assert_eq!(kind.key("", "north")?.namespace(), "");
/// # Ok::<(), roa_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each object has a namespace.
    Namespaced,
    /// No object has one.
    Cluster,
}

/// The desired state of a kind; implementing it is all that it takes to define the kind.
///
/// ```
/// use roa_core::{Object, Scope, Spec, Violations};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Clone, Serialize, Deserialize)]
/// struct Greeting { text: String }
///
/// #[derive(Debug, Clone, Default, Serialize, Deserialize)]
/// struct GreetingStatus { said: u32 }
///
/// impl Spec for Greeting {
///     type Status = GreetingStatus;
///     const GROUP: &'static str = "example.com";
///     const VERSION: &'static str = "v1";
///     const KIND: &'static str = "Greeting";
///     const PLURAL: &'static str = "greetings";
///     const SCOPE: Scope = Scope::Namespaced;
///
///     fn validate(&self) -> Violations {
///         Violations::unless(!self.text.is_empty(), "text", "must not be empty")
///     }
/// }
/// let greeting = Object::new("default", "hello", Greeting { text: "hello".into() });
/// assert_eq!(greeting.status.said, 0);
/// ```
pub trait Spec: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    /// The observed state.
    type Status: Serialize + DeserializeOwned + Clone + Debug + Default + Send + Sync + 'static;
    /// The API group, such as `lab.example.com`.
    const GROUP: &'static str;
    /// The version, such as `v1`.
    const VERSION: &'static str;
    /// The kind, such as `LabInstance`.
    const KIND: &'static str;
    /// The plural in lower case, such as `labinstances`.
    const PLURAL: &'static str;
    /// Whether its objects live in namespaces.
    const SCOPE: Scope;
    /// Other names for the command line.
    const SHORT_NAMES: &'static [&'static str] = &[];
    /// Fields that field selectors may name besides `metadata.name` and `metadata.namespace`, such as `status.state`.
    const SELECTABLE_FIELDS: &'static [&'static str] = &[];

    /// Conditions that are bad when they hold, such as `Degraded`; all others are good then, as `Ready` is.
    const ABNORMAL_CONDITIONS: &'static [&'static str] = &[];

    /// The conditions in a status, if it keeps all that are stored, whoever wrote them. Of a kind that does not say them
    /// here, the engine looks into the store where it needs to know.
    fn conditions(status: &Self::Status) -> Option<&Conditions> {
        let _ = status;
        None
    }

    /// The field of the status that [`Spec::state_machine`] speaks of.
    const STATE_FIELD: &'static str = "state";

    /// What is wrong with it, paths below `spec`. Checked on each create and update.
    fn validate(&self) -> Violations {
        Violations::none()
    }

    /// What must not change so, paths below `spec`. Checked on each update.
    fn validate_update(&self, old: &Self) -> Violations {
        let _ = old;
        Violations::none()
    }

    /// Which changes of its state are allowed; checked on each write, whoever writes.
    fn state_machine() -> Option<&'static StateMachine> {
        None
    }

    /// The structural schema of a whole object, as OpenAPI v3 and a CustomResourceDefinition would say it: what `explain`
    /// shows and clients validate with. Without one, any `spec` and `status` that decode are taken.
    fn schema() -> Option<serde_json::Value> {
        None
    }

    /// What a table of its objects shows besides name and age.
    fn columns() -> Vec<Column> {
        Vec::new()
    }
}

/// A column of a table of objects.
///
/// ```
/// use roa_core::Column;
/// let columns = [Column::text("STATE", "status.state"), Column::date("EXPIRES", "status.expiresAt").wide()];
/// assert!(columns[1].priority > 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The heading, in capitals.
    pub name: String,
    /// The field shown, such as `status.state`: a [`FieldPath`](crate::FieldPath).
    pub path: String,
    /// How to show it.
    pub format: ColumnFormat,
    /// Columns of another priority than 0 are shown in wide tables alone.
    pub priority: u32,
    /// What it says, for people.
    pub description: String,
}

/// How a column's value is shown.
///
/// ```
/// use roa_core::{Column, ColumnFormat};
/// let column = Column::new("LABS", "status.labs", ColumnFormat::Integer);
/// assert_eq!(column.format.type_name(), "integer");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnFormat {
    /// As it is.
    Text,
    /// A time, as the time since or until it.
    Date,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
}

impl ColumnFormat {
    /// The name that the API gives it, such as `integer`.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Date => "date",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

impl Column {
    /// A column; `path` is a [`FieldPath`](crate::FieldPath).
    pub fn new(name: impl Into<String>, path: impl Into<String>, format: ColumnFormat) -> Self {
        Self { name: name.into(), path: path.into(), format, priority: 0, description: String::new() }
    }

    /// A column that shows a field as it is.
    pub fn text(name: impl Into<String>, path: impl Into<String>) -> Self {
        Self::new(name, path, ColumnFormat::Text)
    }

    /// A column that shows a time as the time since or until it.
    pub fn date(name: impl Into<String>, path: impl Into<String>) -> Self {
        Self::new(name, path, ColumnFormat::Date)
    }

    /// The same, in wide tables alone.
    #[must_use]
    pub fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }
}

/// Checks an object's own rules; given the old object on an update.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{Validator, Violations};
/// let no_bob: Validator = Arc::new(|object, _before| Violations::unless(object.metadata.name != "bob", "metadata.name", "is bob"));
/// # drop(no_bob);
/// ```
pub type Validator = Arc<dyn Fn(&DynamicObject, Option<&DynamicObject>) -> Violations + Send + Sync>;

/// Names the unknown fields of an object.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::UnknownFields;
/// let all_are_known: UnknownFields = Arc::new(|_object| Vec::new());
/// # drop(all_are_known);
/// ```
pub type UnknownFields = Arc<dyn Fn(&DynamicObject) -> Vec<String> + Send + Sync>;

/// What objects of a kind may be called.
///
/// ```
/// use roa_core::{KindDescriptor, NameRule, Scope};
/// let mut role = KindDescriptor::dynamic("access.example.com", "v1", "Role", "roles", Scope::Cluster);
/// role.names = NameRule::PathSegment;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameRule {
    /// A DNS subdomain, as most are.
    #[default]
    Subdomain,
    /// Whatever a path can name: roles are called `system:viewer`.
    PathSegment,
}

/// A kind as data: made from a [`Spec`]'s constants, or at run time from anything else that describes a kind.
///
/// ```
/// use roa_core::{KindDescriptor, Scope};
/// let kind = KindDescriptor::dynamic("lab.example.com", "v1", "Lab", "labs", Scope::Namespaced);
/// assert_eq!((kind.api_version().as_str(), kind.is_called("labs")), ("lab.example.com/v1", true));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct KindDescriptor {
    /// The API group.
    pub group: Arc<str>,
    /// The version.
    pub version: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
    /// The plural in lower case: the resource of its keys.
    pub plural: Arc<str>,
    /// Whether its objects live in namespaces.
    pub scope: Scope,
    /// What its objects may be called.
    pub names: NameRule,
    /// The singular in lower case.
    pub singular: Arc<str>,
    /// The kind of a list of its objects.
    pub list_kind: Arc<str>,
    /// Other names for the command line.
    pub short_names: Vec<Arc<str>>,
    /// Groups of kinds that it is listed with, such as `all`.
    pub categories: Vec<Arc<str>>,
    /// Fields that field selectors may name.
    pub selectable_fields: Vec<Arc<str>>,
    /// Conditions that are bad when they hold, such as `Degraded`.
    pub abnormal_conditions: Vec<Arc<str>>,
    /// What a table shows besides name and age.
    pub columns: Vec<Column>,
    /// Whether a table ends with the age; not if `columns` say all that it shows.
    pub age_column: bool,
    /// Which changes of its state are allowed.
    pub state_machine: Option<&'static StateMachine>,
    /// The field of the status that holds the state.
    pub state_field: Arc<str>,
    /// Its structural schema, where it has one.
    pub schema: Option<Arc<serde_json::Value>>,
    /// Where `spec.replicas` and its like stand, if it can be scaled.
    pub scale_path: Option<Arc<str>>,
    /// Where `status.replicas` and its like stand, if it can be scaled.
    pub scale_status_path: Option<Arc<str>>,
    /// Where the selector of what is scaled stands, as text, if it says so.
    pub scale_selector_path: Option<Arc<str>>,
    /// Whether `status` is written through the status path alone, and dropped from other writes.
    pub status_subresource: bool,
    /// The warning of a version that should no longer be used.
    pub deprecation: Option<Arc<str>>,
    /// Whether it is served in `version`, and not only stored in it.
    pub served: bool,
    /// The other versions that it is served in; objects are the same in all, but for `apiVersion`.
    pub other_versions: Vec<KindVersion>,
    /// Its own rules.
    pub validator: Validator,
    /// Names unknown fields, for strict input.
    pub unknown_fields: UnknownFields,
}

/// A version of a kind besides the one that its objects are stored in.
///
/// ```
/// # use roa_core::KindDescriptor;
/// /// In which other versions it is served.
/// fn others(kind: &KindDescriptor) -> Vec<&str> {
///     kind.other_versions.iter().map(|other| &*other.version).collect()
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct KindVersion {
    /// The version.
    pub version: Arc<str>,
    /// Its structural schema.
    pub schema: Option<Arc<serde_json::Value>>,
    /// What a table shows besides name and age.
    pub columns: Vec<Column>,
    /// Fields that field selectors may name.
    pub selectable_fields: Vec<Arc<str>>,
    /// The warning of a version that should no longer be used.
    pub deprecation: Option<Arc<str>>,
}

impl KindDescriptor {
    /// The descriptor of a kind that is defined by a Rust type.
    #[must_use]
    pub fn of<S: Spec>() -> Self {
        let mut this = Self::dynamic(S::GROUP, S::VERSION, S::KIND, S::PLURAL, S::SCOPE);
        this.short_names = S::SHORT_NAMES.iter().map(|&name| name.into()).collect();
        this.selectable_fields.extend(S::SELECTABLE_FIELDS.iter().map(|&field| Arc::from(field)));
        this.abnormal_conditions = S::ABNORMAL_CONDITIONS.iter().map(|&condition| condition.into()).collect();
        this.columns = S::columns();
        this.schema = S::schema().map(Arc::new);
        this.state_machine = S::state_machine();
        this.state_field = S::STATE_FIELD.into();
        this.validator = Arc::new(crate::object::validate::<S>);
        this.unknown_fields = Arc::new(crate::object::unknown_fields::<S>);
        this
    }

    /// A kind without rules of its own; set the other fields as needed.
    #[must_use]
    pub fn dynamic(group: &str, version: &str, kind: &str, plural: &str, scope: Scope) -> Self {
        let name: Arc<str> = "metadata.name".into();
        let mut selectable_fields = vec![name];
        if scope == Scope::Namespaced {
            selectable_fields.push("metadata.namespace".into());
        }
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            plural: plural.into(),
            scope,
            names: NameRule::Subdomain,
            singular: kind.to_ascii_lowercase().into(),
            list_kind: format!("{kind}List").into(),
            short_names: Vec::new(),
            categories: Vec::new(),
            selectable_fields,
            abnormal_conditions: Vec::new(),
            columns: Vec::new(),
            age_column: true,
            state_machine: None,
            state_field: "state".into(),
            schema: None,
            scale_path: None,
            scale_status_path: None,
            scale_selector_path: None,
            status_subresource: true,
            deprecation: None,
            served: true,
            other_versions: Vec::new(),
            validator: Arc::new(|_, _| Violations::none()),
            unknown_fields: Arc::new(|_| Vec::new()),
        }
    }

    /// `group/version`, or just the version for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// Whether objects with this `apiVersion` may be of this kind.
    pub(crate) fn is_of(&self, api_version: &str) -> bool {
        match api_version.rsplit_once('/') {
            Some((group, version)) => !group.is_empty() && *self.group == *group && *self.version == *version,
            None => self.group.is_empty() && *self.version == *api_version,
        }
    }

    /// The key of one of its objects; the namespace is ignored for cluster scope.
    ///
    /// # Errors
    /// [`Error::Invalid`] if name and namespace make no key.
    pub fn key(&self, namespace: &str, name: &str) -> Result<Key> {
        let namespace = if self.scope == Scope::Cluster { "" } else { namespace };
        Ok(Key::new(&self.group, &self.plural, namespace, name)?)
    }

    /// The prefix of its objects, all or those of one namespace.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the namespace makes no key.
    pub fn prefix(&self, namespace: Option<&str>) -> Result<KeyPrefix> {
        Ok(match namespace {
            Some(namespace) if self.scope == Scope::Namespaced => {
                KeyPrefix::namespace(&self.group, &self.plural, namespace)?
            }
            _ => KeyPrefix::resource(&self.group, &self.plural)?,
        })
    }

    /// The status of a condition of its objects when all is well.
    ///
    /// ```
    /// use roa_core::{ConditionStatus, namespace_kind};
    /// let kind = namespace_kind();
    /// assert_eq!(kind.good_status("Ready"), ConditionStatus::True);
    /// assert_eq!(kind.good_status("NamespaceContentRemaining"), ConditionStatus::False);
    /// ```
    #[must_use]
    pub fn good_status(&self, condition: &str) -> ConditionStatus {
        match self.abnormal_conditions.iter().any(|abnormal| **abnormal == *condition) {
            true => ConditionStatus::False,
            false => ConditionStatus::True,
        }
    }

    /// Whether it is served in a version.
    #[must_use]
    pub fn is_served_in(&self, version: &str) -> bool {
        (self.served && *self.version == *version) || self.other_versions.iter().any(|other| *other.version == *version)
    }

    /// Whether `name` is its kind, plural, singular or a short name, whatever the case.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.kind.eq_ignore_ascii_case(name)
            || self.singular.eq_ignore_ascii_case(name)
            || self.plural.eq_ignore_ascii_case(name)
            || self.short_names.iter().any(|short| short.eq_ignore_ascii_case(name))
    }
}

impl Debug for KindDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KindDescriptor({}.{}/{})", self.plural, self.group, self.version)
    }
}

/// The kinds that a process knows. Objects of other kinds are refused.
///
/// ```
/// use roa_core::{KindDescriptor, KindRegistry, Scope};
/// let lab = KindDescriptor::dynamic("lab.example.com", "v1", "Lab", "labs", Scope::Namespaced);
/// let kinds = KindRegistry::new().with_kind(lab);
/// assert_eq!(&*kinds.by_name("labs")?.kind, "Lab");
/// # Ok::<(), roa_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct KindRegistry {
    kinds: BTreeMap<(Arc<str>, Arc<str>), Arc<KindDescriptor>>,
}

impl KindRegistry {
    /// A registry without kinds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the kind of a Rust type, in place of one of the same group and plural.
    #[must_use]
    pub fn with<S: Spec>(self) -> Self {
        self.with_kind(KindDescriptor::of::<S>())
    }

    /// Adds a kind, in place of one of the same group and plural.
    #[must_use]
    pub fn with_kind(mut self, kind: KindDescriptor) -> Self {
        self.kinds.insert((Arc::clone(&kind.group), Arc::clone(&kind.plural)), Arc::new(kind));
        self
    }

    /// All kinds, by group and plural.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<KindDescriptor>> {
        self.kinds.values()
    }

    /// The kind with this group and plural.
    #[must_use]
    pub fn by_plural(&self, group: &str, plural: &str) -> Option<&Arc<KindDescriptor>> {
        self.iter().find(|kind| &*kind.group == group && &*kind.plural == plural)
    }

    /// The kind of a Rust type.
    ///
    /// # Errors
    /// [`Error::UnknownKind`] if it is not registered.
    pub fn of<S: Spec>(&self) -> Result<&Arc<KindDescriptor>> {
        self.by_plural(S::GROUP, S::PLURAL)
            .ok_or_else(|| self.unknown(&format!("{}/{} {}", S::GROUP, S::VERSION, S::KIND)))
    }

    /// The kind that a manifest names.
    ///
    /// # Errors
    /// [`Error::UnknownKind`], which names the kinds that there are.
    pub fn by_manifest(&self, api_version: &str, kind: &str) -> Result<&Arc<KindDescriptor>> {
        self.iter()
            .find(|known| &*known.kind == kind && known.is_of(api_version))
            .ok_or_else(|| self.unknown(&format!("{api_version} {kind}")))
    }

    /// The kind that a user calls so: kind, plural or short name.
    ///
    /// # Errors
    /// [`Error::UnknownKind`], which names the kinds that there are.
    pub fn by_name(&self, name: &str) -> Result<&Arc<KindDescriptor>> {
        self.iter().find(|kind| kind.is_called(name)).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, kind: &str) -> Error {
        let known = self.iter().map(|kind| format!("{} {}", kind.api_version(), kind.kind).into()).collect();
        Error::UnknownKind { kind: kind.into(), known }
    }
}

/// `group/version`, or just the version for the core group.
pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_object_says_that_it_is_of_is_group_and_version_or_the_version_of_the_core_group() {
        let of = |group: &str| KindDescriptor::dynamic(group, "v1", "Lab", "labs", Scope::Namespaced);
        for (group, right) in [("", "v1"), ("lab.example.com", "lab.example.com/v1")] {
            assert_eq!(of(group).api_version(), right);
            for said in ["v1", "/v1", "lab.example.com/v1", "lab.example.com/v2", "x/lab.example.com/v1", ""] {
                assert_eq!(of(group).is_of(said), said == right, "{said:?} of the group {group:?}");
            }
        }
    }

    fn registry() -> KindRegistry {
        let mut lab = KindDescriptor::dynamic("lab.example.com", "v1", "Lab", "labs", Scope::Namespaced);
        lab.short_names = vec!["l".into()];
        KindRegistry::new().with_kind(lab).with_kind(KindDescriptor::dynamic(
            "",
            "v1",
            "Namespace",
            "namespaces",
            Scope::Cluster,
        ))
    }

    #[test]
    fn kinds_are_found_by_any_of_their_names() {
        let registry = registry();
        for name in ["Lab", "labs", "LABS", "l"] {
            assert_eq!(&*registry.by_name(name).unwrap().kind, "Lab");
        }
        assert_eq!(&*registry.by_manifest("v1", "Namespace").unwrap().plural, "namespaces");
    }

    #[test]
    fn an_unknown_kind_is_named_with_those_that_there_are() {
        let message = registry().by_manifest("lab.example.com/v2", "Lab").unwrap_err().to_string();
        assert!(
            message.contains("lab.example.com/v2 Lab") && message.contains("expected one of v1 Namespace"),
            "{message}"
        );
    }

    #[test]
    fn a_cluster_kind_has_no_namespace_in_its_keys() {
        let registry = registry();
        let namespaces = registry.by_name("namespaces").unwrap();
        assert_eq!(namespaces.key("ignored", "a").unwrap().namespace(), "");
        assert!(namespaces.prefix(Some("ignored")).unwrap().contains(&namespaces.key("", "a").unwrap()));
    }
}
