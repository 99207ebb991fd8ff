//! Changes of other objects that lead to calls: of objects that one owns, that one refers to, or that an author's function
//! says concern it.
//!
//! None of it depends on which cache is filled first: an object that is not in its cache yet is called for when it comes,
//! and no call begins before all caches are whole (C12).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use roa_core::{CacheReader, Controller, Key, KeyOf, Object, Resource, Spec};

use super::{ControllerDriver, Filter, Inner};
use crate::safety::what_frees;
use crate::{Cache, CacheListener};

/// Gives each key that a change of an object concerns to the function that it is handed.
type Concerns<T> = dyn Fn(&T, &mut dyn FnMut(&Key)) + Send + Sync;

/// Changes of one kind's objects lead to calls for objects of another.
struct Relation<C: Controller, T> {
    inner: Arc<Inner<C>>,
    filter: Filter<T>,
    concerns: Box<Concerns<T>>,
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
    /// and as it is.
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
        cache.listen(Arc::new(Reference { inner: Arc::clone(&self.inner), filter, index }));
    }

    fn relate<T: Resource>(
        &self,
        cache: &Cache<T>,
        filter: Filter<T>,
        frees: bool,
        concerns: impl Fn(&T, &mut dyn FnMut(&Key)) + Send + Sync + 'static,
    ) {
        let (inner, concerns) = (Arc::clone(&self.inner), Box::new(concerns));
        cache.listen(Arc::new(Relation { inner, filter, concerns, frees }));
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
    filter: Filter<T>,
    index: Arc<str>,
}

impl<C: Controller, T: Spec> CacheListener<Object<T>> for Reference<C, Object<T>> {
    fn changed(&self, key: &Key, before: Option<&Arc<Object<T>>>, after: Option<&Arc<Object<T>>>) {
        let (before, after) = (before.map(Arc::as_ref), after.map(Arc::as_ref));
        if !self.filter.lets_through(before, after) {
            return;
        }
        let (change, released) = ((Arc::clone(&self.index), key.clone()), frees(before, after));
        if !self.inner.backlog.joins(&change, released) {
            self.inner.backlog.begin(change, released);
            self.inner.go_on();
        }
    }
}

impl<C: Controller, T: Resource> Relation<C, T> {
    fn call(&self, changed: &Key, object: &T, released: bool) {
        let each = &mut |key: &Key| self.inner.concern(key, changed, released);
        // The author's code must not take the cache with it.
        if catch_unwind(AssertUnwindSafe(|| (self.concerns)(object, each))).is_err() {
            let controller = self.inner.controller.name();
            tracing::error!(controller, key = %changed, "a mapping panicked: the change may have led to no call");
        }
    }
}

impl<C: Controller, T: Resource> CacheListener<T> for Relation<C, T> {
    fn changed(&self, key: &Key, before: Option<&Arc<T>>, after: Option<&Arc<T>>) {
        let (before, after) = (before.map(Arc::as_ref), after.map(Arc::as_ref));
        if !self.filter.lets_through(before, after) {
            return;
        }
        let released = self.frees && frees(before, after);
        // Who was concerned before may be so no more: that is news for it as well.
        for object in before.into_iter().chain(after) {
            self.call(key, object, released);
        }
    }
}
