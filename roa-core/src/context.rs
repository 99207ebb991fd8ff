//! [`Context`]: all that a controller or reconciler needs, handed to it with each call. [`CacheReader`]: what it reads.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::resources::NotedCache;
use crate::{
    Api, Cancellation, Clock, Dependencies, Event, EventSink, Index, Key, Metadata, NoEvents, Object, Random,
    ReconcileError, Resource, ResourceStore, Result, Revision, Severity, Spec, Timestamp, WriteMark,
};

/// A cache of one kind's objects, as of one revision.
///
/// ```
/// # use roa_core::{CacheReader, Object, Spec};
/// /// How many objects there are in a namespace, as far as is known here.
/// fn count<S: Spec>(cache: &dyn CacheReader<Object<S>>, namespace: &str) -> usize {
///     cache.list(Some(namespace)).len()
/// }
/// ```
pub trait CacheReader<R: Resource>: Send + Sync + 'static {
    /// The object under a key.
    fn get(&self, key: &Key) -> Option<Arc<R>>;

    /// The objects of a namespace, or all, in key order.
    fn list(&self, namespace: Option<&str>) -> Vec<Arc<R>>;

    /// The revision up to which it is true; `None` before it was first filled.
    fn revision(&self) -> Option<Revision>;

    /// The objects that have this value in an index, in key order. A reader that does not keep the index looks at all.
    fn by_index(&self, index: &Index<R>, value: &str) -> Vec<Arc<R>> {
        let mut found = self.list(None);
        found.retain(|object| index.has(object, value));
        found
    }
}

/// Why a reconcile runs, for people: several causes may have come together.
///
/// ```
/// use roa_core::Cause;
/// assert_eq!(Cause::Requeued.as_str(), "requeued");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Cause {
    /// The object was created or changed.
    Changed,
    /// It was asked to go.
    Deleting,
    /// The last run failed.
    Retry,
    /// The last run asked to be called again.
    Requeued,
    /// Everything is looked at again from time to time.
    Resync,
    /// Something that it depends on changed: [`Context::related`] says what.
    Related,
}

impl Cause {
    /// A word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Deleting => "deleting",
            Self::Retry => "retry",
            Self::Requeued => "requeued",
            Self::Resync => "resync",
            Self::Related => "related",
        }
    }
}

/// All that a controller or reconciler needs, for one call. Its writes go out under the component's name, under the
/// fence of what the process owns, and are waited for before the component sees the object again.
///
/// ```
/// # use roa_core::{Context, Object, Result, Spec};
/// /// What a controller does with what it is given.
/// async fn step<S: Spec>(object: &Object<S>, cx: &Context) -> Result<()> {
///     let api = cx.api::<S>()?;
///     let key = api.key(&object.metadata.namespace, &object.metadata.name)?;
///     cx.note(key, &object.metadata, "Seen", format!("seen at {}", cx.now()));
///     api.update_status(object).await.map(|_| ())
/// }
/// ```
#[derive(Clone)]
pub struct Context {
    component: Arc<str>,
    resources: ResourceStore,
    events: Arc<dyn EventSink>,
    caches: Caches,
    dependencies: Dependencies,
    cancellation: Cancellation,
    causes: Arc<[Cause]>,
    related: Arc<[Key]>,
    failures: u32,
}

impl Context {
    /// A context of the component called `component`. Tests need no more than this; the drivers add the rest.
    pub fn new(component: impl Into<Arc<str>>, resources: ResourceStore) -> Self {
        let component = component.into();
        Self {
            resources: resources.writing_as(Arc::clone(&component)),
            component,
            events: Arc::new(NoEvents),
            caches: Caches::default(),
            dependencies: Dependencies::default(),
            cancellation: Cancellation::never(),
            causes: Arc::new([]),
            related: Arc::new([]),
            failures: 0,
        }
    }

    /// The same with a sink for events.
    #[must_use]
    pub fn with_events(mut self, events: Arc<dyn EventSink>) -> Self {
        self.events = events;
        self
    }

    /// The same with caches to read from.
    #[must_use]
    pub fn with_caches(mut self, caches: Caches) -> Self {
        self.caches = caches;
        self
    }

    /// The same with dependencies to call.
    #[must_use]
    pub fn with_dependencies(mut self, dependencies: Dependencies) -> Self {
        self.dependencies = dependencies;
        self
    }

    /// The same with a sign to stop.
    #[must_use]
    pub fn with_cancellation(mut self, cancellation: Cancellation) -> Self {
        self.cancellation = cancellation;
        self
    }

    /// The same with other resources, such as fenced or marking ones; the component's name stays.
    #[must_use]
    pub fn with_resources(mut self, resources: ResourceStore) -> Self {
        self.resources = resources.writing_as(Arc::clone(&self.component));
        self
    }

    /// The same with each write noted in `mark`.
    #[must_use]
    pub fn marking(mut self, mark: Arc<WriteMark>) -> Self {
        self.resources = self.resources.marking(mark);
        self
    }

    /// The same for a call with these causes after `failures` failures in a row.
    #[must_use]
    pub fn for_run(mut self, causes: &[Cause], failures: u32) -> Self {
        self.begin_run(causes, &[], failures);
        self
    }

    /// From now on it is that of a call with these causes, which changes of these other objects led to, after `failures`
    /// failures in a row.
    pub fn begin_run(&mut self, causes: &[Cause], related: &[Key], failures: u32) {
        if *self.causes != *causes {
            self.causes = causes.into();
        }
        if *self.related != *related {
            self.related = related.into();
        }
        self.failures = failures;
    }

    /// The component's name.
    #[must_use]
    pub fn component(&self) -> &str {
        &self.component
    }

    /// Objects of all kinds.
    #[must_use]
    pub const fn resources(&self) -> &ResourceStore {
        &self.resources
    }

    /// Objects of the kind `S`.
    ///
    /// # Errors
    /// [`Error::UnknownKind`](crate::Error::UnknownKind) if it is not registered.
    pub fn api<S: Spec>(&self) -> Result<Api<Object<S>>> {
        self.resources.api::<S>()
    }

    /// The cache of the kind `S`, if the process has one. In a unit of work, what is read from it belongs to the unit, and
    /// a list from it makes the unit fail.
    #[must_use]
    pub fn cache<S: Spec>(&self) -> Option<Arc<dyn CacheReader<Object<S>>>> {
        let cache = self.caches.get::<Object<S>>()?;
        Some(match self.resources.unit() {
            Some(unit) => Arc::new(NotedCache { cache, unit: Arc::clone(unit), kind: S::PLURAL }),
            None => cache,
        })
    }

    /// Makes a call of something outside, if it may be made now: what stands before the dependency of this name, such as
    /// a circuit breaker, decides that, and learns how the call ended. A context without any dependencies, as in a test,
    /// lets every call through.
    ///
    /// ```
    /// # use roa_core::{Action, Context, ReconcileError};
    /// # async fn ask_the_registry(image: &str) -> Result<bool, ReconcileError> { Ok(true) }
    /// # async fn reconcile(cx: &Context) -> Result<Action, ReconcileError> {
    /// let exists = cx.call("registry", ask_the_registry("nginx:1.27")).await?;
    /// # Ok(Action::Done)
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `work` answers; [`ReconcileError::Deferred`] if the dependency is down or busy, which a controller passes on;
    /// [`ReconcileError::Permanent`] if there is no dependency of this name.
    ///
    /// # Cancel safety
    /// As that of `work`; one that is dropped counts as a failure of the dependency.
    pub async fn call<T>(
        &self,
        dependency: &str,
        work: impl Future<Output = Result<T, ReconcileError>> + Send,
    ) -> Result<T, ReconcileError> {
        self.dependencies.call(dependency, work).await
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.resources.clock()
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// Where random numbers come from.
    #[must_use]
    pub fn random(&self) -> &Arc<dyn Random> {
        self.resources.random()
    }

    /// Completes when the call should end: at shutdown, or when the process lost what it owned.
    pub async fn cancelled(&self) {
        self.cancellation.cancelled().await;
    }

    /// Whether the call should end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancellation.is_cancelled()
    }

    /// Why this call runs.
    #[must_use]
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// Which other objects led to this call, where [`Cause::Related`] is among its causes: for people, and of many only the
    /// first few.
    #[must_use]
    pub fn related(&self) -> &[Key] {
        &self.related
    }

    /// How many calls for this object failed in a row before this one.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Tells people that all is as it should be.
    pub fn note(&self, key: Key, object: &Metadata, reason: impl Into<String>, message: impl Into<String>) {
        self.record(key, object, Severity::Normal, reason.into(), message.into());
    }

    /// Tells people that somebody should look.
    pub fn warn(&self, key: Key, object: &Metadata, reason: impl Into<String>, message: impl Into<String>) {
        self.record(key, object, Severity::Warning, reason.into(), message.into());
    }

    fn record(&self, object: Key, metadata: &Metadata, severity: Severity, reason: String, message: String) {
        let (at, component, uid) = (self.now(), Arc::clone(&self.component), metadata.uid.clone());
        self.events.record(Event { at, component, object, uid, severity, reason, message });
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({} for {:?}, {} failures)", self.component, self.causes, self.failures)
    }
}

/// The caches of a process, one for each kind.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{CacheReader, Caches, Object, Spec};
/// fn caches<S: Spec>(labs: Arc<dyn CacheReader<Object<S>>>) -> Caches {
///     Caches::default().with(labs)
/// }
/// ```
#[derive(Clone, Default)]
pub struct Caches(Arc<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Caches {
    /// The same with the cache of one more kind, in place of another of that kind.
    #[must_use]
    pub fn with<R: Resource>(self, cache: Arc<dyn CacheReader<R>>) -> Self {
        let mut caches = Arc::unwrap_or_clone(self.0);
        caches.insert(TypeId::of::<R>(), Arc::new(cache));
        Self(Arc::new(caches))
    }

    /// The cache of a kind.
    #[must_use]
    pub fn get<R: Resource>(&self) -> Option<Arc<dyn CacheReader<R>>> {
        self.0.get(&TypeId::of::<R>())?.downcast_ref::<Arc<dyn CacheReader<R>>>().cloned()
    }
}

impl fmt::Debug for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caches({} kinds)", self.0.len())
    }
}
