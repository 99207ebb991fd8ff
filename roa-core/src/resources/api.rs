//! [`Api`]: a typed handle for one kind.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{ListOptions, ResourceStore, retry_conflicts};
use crate::lifecycle::{DeleteOptions, FieldValidation};
use crate::{DynamicObject, Entry, Error, Key, KindDescriptor, Resource, Result, Revision};

/// The objects of one kind, as values of the type `R`. A clone shares all of it.
///
/// ```
/// # use roa_core::{Api, Object, Result, Spec};
/// async fn relabel<S: Spec>(api: &Api<Object<S>>, namespace: &str, name: &str) -> Result<Object<S>> {
///     api.patch(namespace, name, |object| {
///         object.metadata.labels.insert("seen".into(), "yes".into());
///     })
///     .await
/// }
/// ```
pub struct Api<R> {
    resources: ResourceStore,
    kind: Arc<KindDescriptor>,
    resource: PhantomData<fn() -> R>,
}

impl<R: Resource> Api<R> {
    pub(super) const fn new(resources: ResourceStore, kind: Arc<KindDescriptor>) -> Self {
        Self { resources, kind, resource: PhantomData }
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> &Arc<KindDescriptor> {
        &self.kind
    }

    /// The store of objects behind it.
    #[must_use]
    pub const fn resources(&self) -> &ResourceStore {
        &self.resources
    }

    /// The key of an object.
    ///
    /// # Errors
    /// [`Error::Invalid`] if namespace and name make no key.
    pub fn key(&self, namespace: &str, name: &str) -> Result<Key> {
        self.kind.key(namespace, name)
    }

    /// An object.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Unavailable`].
    pub async fn get(&self, namespace: &str, name: &str) -> Result<R> {
        let key = self.key(namespace, name)?;
        self.find(&key).await?.ok_or(Error::NotFound { key })
    }

    /// An object, or that there is none.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unavailable`].
    pub async fn find(&self, key: &Key) -> Result<Option<R>> {
        let (entry, _) = self.resources.entry(key).await?;
        Ok(entry.map(|entry| R::decode(&entry)).transpose()?)
    }

    /// The objects that `options` select, and the revision at which they are true.
    ///
    /// # Errors
    /// As [`ResourceStore::list`]; [`Error::Corrupt`] if one of them can't be read as an `R`.
    pub async fn list(&self, options: &ListOptions) -> Result<(Vec<R>, Revision)> {
        let list = self.resources.list(&self.kind, options).await?;
        let objects = list.entries.iter().map(|entry| R::decode(entry)).collect::<Result<_, _>>()?;
        Ok((objects, list.revision))
    }

    /// Creates an object.
    ///
    /// # Errors
    /// As [`ResourceStore::create`].
    pub async fn create(&self, object: &R) -> Result<R> {
        let tree = object.merge_into(None, self.blank())?;
        self.read_back(self.resources.create(tree, FieldValidation::Ignore).await?)
    }

    /// Changes an object, except its status; it must carry the `resourceVersion` that was read.
    ///
    /// # Errors
    /// As [`ResourceStore::update`].
    pub async fn update(&self, object: &R) -> Result<R> {
        let (entry, tree) = self.merged(object).await?;
        let mut txn = self.resources.transaction();
        let index = txn.update_of(&entry, tree, FieldValidation::Ignore)?;
        self.read_back(txn.commit().await?.swap_remove(index))
    }

    /// Changes an object's status and nothing else; it must carry the `resourceVersion` that was read.
    ///
    /// # Errors
    /// As [`ResourceStore::update_status`].
    pub async fn update_status(&self, object: &R) -> Result<R> {
        let (entry, tree) = self.merged(object).await?;
        let mut txn = self.resources.transaction();
        let index = txn.update_status_of(&entry, &tree)?;
        self.read_back(txn.commit().await?.swap_remove(index))
    }

    /// Reads an object, lets `change` change it, writes it (not its status); again from the read if somebody else
    /// wrote in between, a few times.
    ///
    /// # Errors
    /// As [`ResourceStore::update`].
    pub async fn patch(&self, namespace: &str, name: &str, change: impl Fn(&mut R) + Send + Sync) -> Result<R> {
        retry_conflicts(async || self.update(&self.changed(namespace, name, &change).await?).await).await
    }

    /// Reads an object, lets `change` change its status, writes that; again from the read if somebody else wrote in
    /// between, a few times. Transitions are checked each time.
    ///
    /// # Errors
    /// As [`ResourceStore::update_status`].
    pub async fn patch_status(&self, namespace: &str, name: &str, change: impl Fn(&mut R) + Send + Sync) -> Result<R> {
        retry_conflicts(async || self.update_status(&self.changed(namespace, name, &change).await?).await).await
    }

    /// Deletes an object, or marks it if it has finalizers.
    ///
    /// # Errors
    /// As [`ResourceStore::delete`].
    pub async fn delete(&self, namespace: &str, name: &str, options: &DeleteOptions) -> Result<R> {
        let key = self.key(namespace, name)?;
        self.read_back(self.resources.delete(&key, options).await?)
    }

    async fn changed(&self, namespace: &str, name: &str, change: &(impl Fn(&mut R) + Send + Sync)) -> Result<R> {
        let mut object = self.get(namespace, name).await?;
        change(&mut object);
        Ok(object)
    }

    /// What is stored, and what the typed object changed in its tree. If the stored object is another one by now, the tree
    /// carries the old `resourceVersion`, and the write is refused.
    async fn merged(&self, object: &R) -> Result<(Arc<Entry>, DynamicObject)> {
        let key = self.key(&object.metadata().namespace, &object.metadata().name)?;
        let (Some(entry), _) = self.resources.entry(&key).await? else {
            return Err(Error::NotFound { key });
        };
        let stored = entry.object().map_err(Clone::clone)?.to_dynamic()?;
        let merged = object.merge_into(Some(&R::decode(&entry)?), stored)?;
        Ok((entry, merged))
    }

    pub(super) fn blank(&self) -> DynamicObject {
        DynamicObject { api_version: self.kind.api_version(), kind: self.kind.kind.to_string(), ..Default::default() }
    }

    pub(super) fn read_back(&self, tree: DynamicObject) -> Result<R> {
        Ok(R::from_tree(tree)?)
    }
}

impl<R> Clone for Api<R> {
    fn clone(&self) -> Self {
        Self { resources: self.resources.clone(), kind: Arc::clone(&self.kind), resource: PhantomData }
    }
}

impl<R> fmt::Debug for Api<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Api({:?})", self.kind)
    }
}
