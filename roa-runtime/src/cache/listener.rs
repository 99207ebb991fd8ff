//! [`CacheListener`]: who is told of each change of a cache. [`Tombstone`]: what is left of an object that went.

use std::sync::Arc;

use roa_core::{Key, Revision};

/// What is left of an object that went.
///
/// ```
/// # use roa_core::DynamicObject;
/// # use roa_runtime::Tombstone;
/// /// What to say of it.
/// fn obituary(gone: &Tombstone<DynamicObject>) -> String {
///     let name = &gone.last.metadata.name;
///     match gone.revision {
///         Some(revision) => format!("{name} was removed by revision {revision}"),
///         None => format!("{name} is gone, nobody saw it go"),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tombstone<R> {
    /// The object as it was last known.
    pub last: Arc<R>,
    /// The revision that removed it; `None` if that was not seen: a list did not have it any more, or had another one
    /// under its name. Then it may have changed again before it went.
    pub revision: Option<Revision>,
}

/// Told of each change of a cache, in order, while the cache already shows it. Must not block.
///
/// ```
/// # use std::sync::Arc;
/// # use std::sync::atomic::{AtomicUsize, Ordering};
/// # use roa_core::{DynamicObject, Key};
/// # use roa_runtime::{Cache, CacheListener};
/// /// Counts the objects that came.
/// #[derive(Default)]
/// struct Came(AtomicUsize);
///
/// impl CacheListener<DynamicObject> for Came {
///     fn changed(&self, _key: &Key, before: Option<&Arc<DynamicObject>>, _after: Option<&Arc<DynamicObject>>) {
///         if before.is_none() {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// let cache = Cache::<DynamicObject>::new();
/// cache.listen(Arc::new(Came::default()));
/// ```
pub trait CacheListener<R>: Send + Sync + 'static {
    /// An object came (`before` is `None`), changed, or went (`after` is `None`). One that went and came again under the
    /// same name is another one: it goes, and then it comes, also if only its new life was ever seen.
    fn changed(&self, key: &Key, before: Option<&Arc<R>>, after: Option<&Arc<R>>);

    /// An object went: by default a change without an `after`.
    fn gone(&self, key: &Key, tombstone: &Tombstone<R>) {
        self.changed(key, Some(&tombstone.last), None);
    }
}
