//! Changes of other objects that lead to calls: of objects that one owns, that one refers to, or that an author's function
//! says concern it.
//!
//! None of it depends on which cache is filled first: an object that is not in its cache yet is called for when it comes,
//! and no call begins before all caches are whole (C12).

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use roa_core::{CacheReader, Controller, Key, KeyOf, Object, Resource, Spec};

use super::backlog::Concerned;
use super::{ControllerDriver, Filter, Inner};
use crate::safety::what_frees;
use crate::{Cache, CacheListener};

/// Gives each key that a change of an object concerns to the function that it is handed.
type Concerns<T> = dyn Fn(&T, &mut dyn FnMut(&Key)) + Send + Sync;

/// Changes of one kind's objects lead to calls for objects of another.
struct Relation<C: Controller, T> {
    inner: Arc<Inner<C>>,
    number: usize,
    filter: Filter<T>,
    concerns: Arc<Concerns<T>>,
    /// Whether a change may help an object that was given up.
    frees: bool,
}

impl<S, C> ControllerDriver<C>
where
    S: Spec,
    C: Controller<Resource = Object<S>>,
{
    /// From now on, changes of its objects that `filter` leaves out lead to no call. Without this, all do.
    pub fn only(&self, filter: Filter<C::Resource>) {
        self.inner.filter.get_or_init(|| filter);
    }

    /// From now on, a change in `cache` leads to calls for those that own the object: those of this controller's kind that
    /// its owner references name by uid, before or after the change.
    pub fn owns<T: Resource>(&self, cache: &Cache<T>, filter: Filter<T>) {
        let owners = self.inner.cache.clone();
        let concerns = move |part: &T, found: &mut dyn FnMut(&Key)| {
            for key in owners_of::<S, T>(part, &owners) {
                found(&key);
            }
        };
        self.relate(cache, filter, false, concerns);
    }

    /// From now on, a change in `cache` leads to calls for the objects that `concerned` names, given the object as it was
    /// and as it is. Of very many the first thousand, in the order of their keys, are queued at once and the others as calls
    /// end: for each thousand it is asked again. Where so many refer to one object, [`ControllerDriver::refers_to`] finds
    /// them without looking at all.
    pub fn watches<T, I>(
        &self,
        cache: &Cache<T>,
        filter: Filter<T>,
        concerned: impl Fn(&T) -> I + Send + Sync + 'static,
    ) where
        T: Resource,
        I: IntoIterator<Item = KeyOf<S>>,
    {
        let concerns = move |object: &T, found: &mut dyn FnMut(&Key)| {
            concerned(object).into_iter().for_each(|key| found(key.key()));
        };
        self.relate(cache, filter, true, concerns);
    }

    /// From now on, a change in `cache` leads to calls for the objects of this controller that refer to the object: so
    /// `references` says. What is referred to need not be there: when it comes, those that wait for it are called.
    pub fn refers_to<T, I>(
        &self,
        cache: &Cache<Object<T>>,
        filter: Filter<Object<T>>,
        references: impl Fn(&Object<S>) -> I + Send + Sync + 'static,
    ) where
        T: Spec,
        I: IntoIterator<Item = KeyOf<T>>,
    {
        let index: Arc<str> = format!("{} refers to {}.{}", self.name(), T::PLURAL, T::GROUP).into();
        let values = move |object: &Object<S>, value: &mut dyn FnMut(&str)| {
            references(object).into_iter().for_each(|key| value(key.key().encoded()));
        };
        self.inner.cache.index_by(&index, Arc::new(values));
        let (inner, number) = (Arc::clone(&self.inner), self.inner.backlog.relation());
        cache.listen(Arc::new(Reference { inner, number, filter, index }));
    }

    fn relate<T: Resource>(
        &self,
        cache: &Cache<T>,
        filter: Filter<T>,
        frees: bool,
        concerns: impl Fn(&T, &mut dyn FnMut(&Key)) + Send + Sync + 'static,
    ) {
        let (inner, number) = (Arc::clone(&self.inner), self.inner.backlog.relation());
        cache.listen(Arc::new(Relation { inner, number, filter, concerns: Arc::new(concerns), frees }));
    }
}

/// The keys of those of the kind `S` that own a part, as far as they are there: who is not is called for when it comes.
fn owners_of<S: Spec, T: Resource>(part: &T, owners: &Cache<Object<S>>) -> Vec<Key> {
    let metadata = part.metadata();
    let group = |api_version: &str| api_version.split_once('/').map_or("", |(group, _)| group) == S::GROUP;
    let owning = metadata.owner_references.iter().filter(|owner| owner.kind == S::KIND && group(&owner.api_version));
    owning
        .filter_map(|owner| {
            let key = KeyOf::<S>::new(&metadata.namespace, &owner.name).ok()?.into_key();
            let found = owners.get(&key)?;
            (found.metadata.uid == owner.uid).then_some(key)
        })
        .collect()
}

/// Whether a change may help objects that were given up because of what it was before.
fn frees<T: Resource>(before: Option<&T>, after: Option<&T>) -> bool {
    before.map(|object| what_frees(object.metadata())) != after.map(|object| what_frees(object.metadata()))
}

/// Changes of one kind's objects lead to calls for objects that refer to them: they may be many.
struct Reference<C: Controller, T> {
    inner: Arc<Inner<C>>,
    number: usize,
    filter: Filter<T>,
    index: Arc<str>,
}

/// Those that refer to an object, by an index.
struct Referring<R> {
    cache: Cache<R>,
    index: Arc<str>,
    referred: Key,
}

impl<R: Resource> Concerned for Referring<R> {
    fn keys_after(&self, after: Option<&Key>, limit: usize) -> Vec<Key> {
        self.cache.indexed_keys_after(&self.index, self.referred.encoded(), after, limit)
    }
}

impl<C: Controller, T: Spec> CacheListener<Object<T>> for Reference<C, Object<T>> {
    fn changed(&self, key: &Key, before: Option<&Arc<Object<T>>>, after: Option<&Arc<Object<T>>>) {
        let (before, after) = (before.map(Arc::as_ref), after.map(Arc::as_ref));
        if !self.filter.lets_through(before, after) {
            return;
        }
        let (cache, index) = (self.inner.cache.clone(), Arc::clone(&self.index));
        let referring = Referring { cache, index, referred: key.clone() };
        self.inner.changed_elsewhere((self.number, key.clone()), referring, frees(before, after));
    }
}

/// Those whom an author's function names, given an object as it was and as it is: who was concerned before may be so no
/// more, and that is news for it as well.
struct Named<T> {
    concerns: Arc<Concerns<T>>,
    before: Option<Arc<T>>,
    after: Option<Arc<T>>,
}

impl<T: Resource> Concerned for Named<T> {
    fn keys_after(&self, after: Option<&Key>, limit: usize) -> Vec<Key> {
        let mut found = BTreeSet::new();
        let mut each = |key: &Key| {
            let last = found.last().filter(|_| found.len() >= limit);
            let wanted = after.is_none_or(|after| key > after) && last.is_none_or(|last| key < last);
            if wanted && found.insert(key.clone()) && found.len() > limit {
                found.pop_last();
            }
        };
        for object in self.before.iter().chain(&self.after) {
            // The author's code must not take the cache with it.
            if catch_unwind(AssertUnwindSafe(|| (self.concerns)(object, &mut each))).is_err() {
                let name = &object.metadata().name;
                tracing::error!(changed = name, "a mapping panicked: the change may have led to no call");
            }
        }
        found.into_iter().collect()
    }
}

impl<C: Controller, T: Resource> CacheListener<T> for Relation<C, T> {
    fn changed(&self, key: &Key, before: Option<&Arc<T>>, after: Option<&Arc<T>>) {
        let (was, is) = (before.map(Arc::as_ref), after.map(Arc::as_ref));
        if !self.filter.lets_through(was, is) {
            return;
        }
        let released = self.frees && frees(was, is);
        let named = Named { concerns: Arc::clone(&self.concerns), before: before.cloned(), after: after.cloned() };
        self.inner.changed_elsewhere((self.number, key.clone()), named, released);
    }
}
