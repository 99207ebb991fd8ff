//! [`NamespaceController`]: empties a namespace that was deleted, then lets it go (D9).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use roa_core::lifecycle::{DeleteOptions, NAMESPACE_FINALIZER};
use roa_core::{
    Action, ConditionStatus, Context, Controller, Entry, Error, KindDescriptor, ListOptions, Namespace,
    NamespaceContent, Object, ReconcileError, Result, Scope,
};

use crate::LiveKinds;

/// How long until it is looked again whether a namespace has emptied, in domain time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How many objects are deleted at once.
const AT_ONCE: usize = 16;
/// How many objects of a kind one look deletes, so that no look takes long.
const PAGE: std::num::NonZeroUsize = std::num::NonZeroUsize::new(500).unwrap();

/// What a namespace that is going still has, as Kubernetes calls it.
const CONTENT_REMAINING: &str = "NamespaceContentRemaining";
const FINALIZERS_REMAINING: &str = "NamespaceFinalizersRemaining";

/// Empties a namespace that was deleted: deletes all objects of registered kinds in it, waits for those with finalizers,
/// and lets it go when none is left. It says in its status what it waits for. Safe to stop and start at any point: all
/// that it knows is in the store.
///
/// ```no_run
/// # use roa_core::{Namespace, Result};
/// # use roa_runtime::{ControllerConfig, Manager, NamespaceController};
/// # fn add(manager: &mut Manager) -> Result<()> {
/// manager.add_controller::<Namespace, _>(NamespaceController::new(), ControllerConfig::default())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct NamespaceController {
    kinds: Option<LiveKinds>,
}

impl NamespaceController {
    /// A controller of all namespaces.
    #[must_use]
    pub const fn new() -> Self {
        Self { kinds: None }
    }

    /// The same where kinds are declared at run time: else it knows those of its manager's resources alone.
    #[must_use]
    pub fn with_kinds(mut self, kinds: LiveKinds) -> Self {
        self.kinds = Some(kinds);
        self
    }
}

#[async_trait]
impl Controller for NamespaceController {
    type Resource = Object<Namespace>;

    fn name(&self) -> &'static str {
        "namespaces"
    }

    /// Each namespace is born with it.
    fn finalizer(&self) -> Option<&str> {
        Some(NAMESPACE_FINALIZER)
    }

    async fn reconcile(&self, _: Arc<Object<Namespace>>, _: &Context) -> Result<Action, ReconcileError> {
        Ok(Action::Done)
    }

    async fn finalize(&self, namespace: Arc<Object<Namespace>>, cx: &Context) -> Result<Action, ReconcileError> {
        let over = self.kinds.as_ref().map(|kinds| kinds.over(cx));
        let cx = over.as_ref().unwrap_or(cx);
        let name = &namespace.metadata.name;
        let mut deleted = 0;
        for kind in cx.resources().kinds().iter().filter(|kind| kind.scope == Scope::Namespaced) {
            deleted += delete_some(cx, kind, name).await?;
        }
        if deleted > 0 {
            return Ok(Action::RequeueAfter(Duration::ZERO));
        }
        let left = cx.resources().finalize_namespace(name).await?;
        if left.is_empty() {
            return Ok(Action::Done);
        }
        tell(cx, name, &left).await?;
        Ok(Action::RequeueAfter(LOOK_AGAIN))
    }
}

/// Deletes objects of a kind that are not going already, as many as one look may; gives how many.
async fn delete_some(cx: &Context, kind: &KindDescriptor, namespace: &str) -> Result<usize> {
    let mut options = ListOptions::namespace(namespace).limit(PAGE);
    loop {
        let page = cx.resources().list(kind, &options).await?;
        let mut deletions = stream::iter(page.entries).map(|entry| delete(cx, entry)).buffer_unordered(AT_ONCE);
        let mut deleted = 0;
        while let Some(outcome) = deletions.next().await {
            deleted += usize::from(outcome?);
        }
        match page.next {
            Some(next) if deleted == 0 => options = options.resume(next),
            _ => return Ok(deleted),
        }
    }
}

/// Whether it deleted the object, or another look may.
async fn delete(cx: &Context, entry: Arc<Entry>) -> Result<bool> {
    let metadata = &entry.object().map_err(Clone::clone)?.metadata;
    if metadata.is_deleting() {
        return Ok(false);
    }
    match cx.resources().delete(&entry.key, &DeleteOptions::uid(metadata.uid.clone())).await {
        // Somebody else was faster; what has changed is met again.
        Ok(_) | Err(Error::NotFound { .. } | Error::Conflict { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Says in the namespace's status what it waits for.
async fn tell(cx: &Context, namespace: &str, left: &NamespaceContent) -> Result<()> {
    let key = cx.api::<Namespace>()?.key("", namespace)?;
    let objects = left.objects.iter().map(|(kind, count)| format!("{}.{} has {count}", kind.plural, kind.group));
    let finalizers = left.finalizers.iter().map(|(finalizer, count)| format!("{finalizer} on {count}"));
    let (objects, finalizers) = (objects.collect::<Vec<_>>().join(", "), finalizers.collect::<Vec<_>>().join(", "));
    let (some, none) = (ConditionStatus::True, ConditionStatus::False);
    let resources = cx.resources();
    resources.set_condition(&key, CONTENT_REMAINING, some, ("SomeResourcesRemain", &objects)).await?;
    let (status, reason) = match finalizers.is_empty() {
        true => (none, "ContentHasNoFinalizers"),
        false => (some, "SomeFinalizersRemain"),
    };
    resources.set_condition(&key, FINALIZERS_REMAINING, status, (reason, &finalizers)).await?;
    Ok(())
}
