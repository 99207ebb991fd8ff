//! Namespaces at the door: objects are created only in those that exist and are not going (D9).
//!
//! What it costs: a process remembers at which revision it saw a namespace to be active, and a transaction that creates
//! objects guards that. So a creation reads nothing more and has one guard more; other writes have neither. A namespace
//! changes when it is labelled and when it is deleted: then the guard fails, it is looked up, and the creation is tried
//! again or refused. No creation can be committed after the deletion was.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock};

use super::{ListOptions, ResourceStore};
use crate::lifecycle::FieldValidation;
use crate::{
    DEFAULT_NAMESPACE, Error, Key, KindDescriptor, KindRegistry, Namespace, Object, Result, Revision, Scope, Spec,
    Violations,
};

/// How many namespaces are remembered; beyond, all are forgotten and looked up again.
const MAX_KNOWN: usize = 65_536;
/// How many objects of one kind are counted in a namespace that is going.
const COUNTED: NonZeroUsize = NonZeroUsize::new(500).unwrap();

/// What a process knows of namespaces. A clone knows the same.
#[derive(Debug, Clone)]
pub(super) struct Namespaces {
    strict: bool,
    /// Each with its key, at the revision at which it was active.
    active: Arc<RwLock<HashMap<String, (Key, Revision)>>>,
}

impl Namespaces {
    /// Where the kind is registered.
    pub(super) fn of(kinds: &KindRegistry) -> Option<Self> {
        kinds.by_plural(Namespace::GROUP, Namespace::PLURAL)?;
        Some(Self { strict: false, active: Arc::default() })
    }

    fn known(&self, name: &str) -> Option<(Key, Revision)> {
        // Each change is one insertion or removal, so what a panicking holder left is whole.
        self.active.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn note(&self, key: &Key, at: Revision) {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        if active.len() >= MAX_KNOWN {
            active.clear();
        }
        active.insert(key.name().to_owned(), (key.clone(), at));
    }

    fn forget(&self, name: &str) -> bool {
        self.active.write().unwrap_or_else(PoisonError::into_inner).remove(name).is_some()
    }
}

/// What is left in a namespace that is going.
///
/// ```
/// # use roa_core::NamespaceContent;
/// fn says(left: &NamespaceContent) -> String {
///     let counted = left.objects.iter().map(|(kind, count)| format!("{count} {}", kind.plural));
///     counted.collect::<Vec<_>>().join(", ")
/// }
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct NamespaceContent {
    /// The kinds that have objects there, and how many: 500 says that there may be more.
    pub objects: Vec<(Arc<KindDescriptor>, usize)>,
    /// The finalizers of these objects, and how many have each.
    pub finalizers: BTreeMap<String, usize>,
}

impl NamespaceContent {
    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

impl ResourceStore {
    /// The same, creating objects only in namespaces that somebody created; others answer [`Error::NotFound`] with the key
    /// of the namespace. Else a namespace is created with the first object in it, as [`DEFAULT_NAMESPACE`] always is.
    /// Where the kind [`Namespace`] is not registered, neither is.
    ///
    /// ```
    /// # use roa_core::{DynamicObject, Error, ResourceStore, lifecycle::FieldValidation};
    /// # async fn example(resources: ResourceStore, lab: DynamicObject) {
    /// let resources = resources.strict_namespaces();
    /// match resources.create(lab, FieldValidation::Strict).await {
    ///     Err(Error::NotFound { key }) => println!("create the namespace {} first", key.name()),
    ///     outcome => _ = outcome,
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn strict_namespaces(mut self) -> Self {
        if let Some(namespaces) = &mut self.namespaces {
            namespaces.strict = true;
        }
        self
    }

    /// The namespaces of keys that are to be created, each with the revision at which it is active: what the creation
    /// must guard.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NamespaceTerminating`], and what creating a namespace can answer.
    pub(super) async fn admit(&self, keys: impl Iterator<Item = &Key>) -> Result<Vec<(Key, Revision)>> {
        let Some(namespaces) = &self.namespaces else { return Ok(Vec::new()) };
        let mut admitted: Vec<(Key, Revision)> = Vec::new();
        for name in keys.filter(|key| !key.is_system()).map(Key::namespace).filter(|name| !name.is_empty()) {
            if admitted.iter().any(|(key, _)| key.name() == name) {
                continue;
            }
            admitted.push(match namespaces.known(name) {
                Some(known) => known,
                None if self.dry_run => {
                    self.check_namespace(namespaces.strict, name).await?;
                    continue;
                }
                None => self.look_up(namespaces, name).await?,
            });
        }
        Ok(admitted)
    }

    /// Whether [`ResourceStore::admit`] would admit them; creates nothing.
    ///
    /// # Errors
    /// As [`ResourceStore::admit`].
    pub(super) async fn would_admit(&self, keys: impl Iterator<Item = &Key>) -> Result<()> {
        let Some(namespaces) = &self.namespaces else { return Ok(()) };
        for name in keys.filter(|key| !key.is_system()).map(Key::namespace).filter(|name| !name.is_empty()) {
            let key = Key::new(Namespace::GROUP, Namespace::PLURAL, "", name)?;
            if self.active_at(&key).await?.is_none() && namespaces.strict && name != DEFAULT_NAMESPACE {
                return Err(Error::NotFound { key });
            }
        }
        Ok(())
    }

    /// Forgets what is known of a namespace, if that is the key of one; gives whether anything was.
    pub(super) fn forget_namespace(&self, key: &Key) -> bool {
        let is_one = key.group() == Namespace::GROUP && key.resource() == Namespace::PLURAL;
        is_one && self.namespaces.as_ref().is_some_and(|namespaces| namespaces.forget(key.name()))
    }

    /// Whether objects could be created in a namespace, without creating it.
    async fn check_namespace(&self, strict: bool, name: &str) -> Result<()> {
        let key = Key::new(Namespace::GROUP, Namespace::PLURAL, "", name)?;
        let is_there = self.active_at(&key).await?.is_some() || !strict || name == DEFAULT_NAMESPACE;
        if is_there { Ok(()) } else { Err(Error::NotFound { key }) }
    }

    async fn look_up(&self, namespaces: &Namespaces, name: &str) -> Result<(Key, Revision)> {
        let key = Key::new(Namespace::GROUP, Namespace::PLURAL, "", name)?;
        let mut at = self.active_at(&key).await?;
        if at.is_none() {
            at = self.begin_namespace(namespaces.strict, &key).await?;
        }
        // Deleted between two looks: whoever tries again finds it as it is then.
        let at = at.ok_or_else(|| Error::NotFound { key: key.clone() })?;
        namespaces.note(&key, at);
        Ok((key, at))
    }

    /// At which revision a namespace is active; `None` if there is none.
    async fn active_at(&self, key: &Key) -> Result<Option<Revision>> {
        // Not as a unit of work sees it: what others wrote counts.
        let Some(entry) = self.store.get(key).await?.entry else { return Ok(None) };
        if entry.object().map_err(Clone::clone)?.metadata.is_deleting() {
            return Err(Error::NamespaceTerminating { namespace: key.name().into() });
        }
        Ok(Some(entry.revision))
    }

    /// Creates a namespace, outside of any unit of work: it harms nobody if nothing comes into it.
    async fn begin_namespace(&self, strict: bool, key: &Key) -> Result<Option<Revision>> {
        if strict && key.name() != DEFAULT_NAMESPACE {
            return Err(Error::NotFound { key: key.clone() });
        }
        let outright = Self { unit: None, ..self.clone() };
        let namespace = Object::new("", key.name(), Namespace::default()).to_dynamic()?;
        // Boxed: a creation may create a namespace, which is in none.
        match Box::pin(outright.create(namespace, FieldValidation::Ignore)).await {
            Ok(created) => Ok(created.metadata.resource_version),
            Err(Error::AlreadyExists { .. }) => self.active_at(key).await,
            Err(error) => Err(error),
        }
    }

    /// Lets a namespace go that was deleted, if nothing is left in it; says what is. Objects of kinds that are not
    /// registered are not seen.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it was not deleted, and as [`ResourceStore::update`] and [`ResourceStore::list`].
    ///
    /// # Cancel safety
    /// As [`ResourceStore::create`].
    pub async fn finalize_namespace(&self, name: &str) -> Result<NamespaceContent> {
        let key = Key::new(Namespace::GROUP, Namespace::PLURAL, "", name)?;
        super::retry_conflicts(async || {
            let current = match self.get(&key).await {
                Err(Error::NotFound { .. }) => return Ok(NamespaceContent::default()),
                outcome => outcome?,
            };
            if !current.metadata.is_deleting() {
                return Err(Error::invalid(
                    key.to_string(),
                    Violations::one("metadata", "not deleted, expected it to be"),
                ));
            }
            // After the mark was seen nothing comes into it any more, so what is empty now stays so.
            let content = self.content_of(name).await?;
            if content.is_empty() {
                let mut txn = self.transaction();
                txn.finalize_namespace(&key, current)?;
                txn.commit().await?;
            }
            Ok(content)
        })
        .await
    }

    async fn content_of(&self, namespace: &str) -> Result<NamespaceContent> {
        let mut content = NamespaceContent::default();
        for kind in self.kinds.iter().filter(|kind| kind.scope == Scope::Namespaced) {
            let page = self.list(kind, &ListOptions::namespace(namespace).limit(COUNTED)).await?;
            if !page.entries.is_empty() {
                content.objects.push((Arc::clone(kind), page.entries.len()));
            }
            for entry in page.entries {
                let Ok(object) = entry.object() else { continue };
                for finalizer in &object.metadata.finalizers {
                    *content.finalizers.entry(finalizer.clone()).or_default() += 1;
                }
            }
        }
        Ok(content)
    }
}
