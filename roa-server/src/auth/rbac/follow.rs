//! [`Rbac`]: the authorizer by roles, kept true by the changes of their objects.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use roa_core::{Clock, DynamicObject, Key, Monotonic, Result};
use roa_runtime::{Cache, CacheListener, Selection, StreamWatcher, WatchHub};

use super::objects::RbacKind;
use super::policy::Policy;
use super::{Rule, escalation, rbac_kinds};
use crate::auth::{Attributes, Authorizer, Decision, Forbidden, MASTERS, User};

/// Decides by roles and bindings, which it has in memory. Members of `system:masters` may do everything, also before
/// there are any roles. A clone is the same.
///
/// Until [`Rbac::run`] has read them once, others are told [`Decision::NotReady`].
#[derive(Clone)]
pub struct Rbac {
    policy: Shared,
    caches: [(RbacKind, Cache<DynamicObject>); 4],
}

/// The policy as it is now. It is locked for moments: what takes longer looks at a snapshot, which the next change
/// leaves as it is.
type Shared = Arc<RwLock<Arc<Policy>>>;

struct Follower {
    kind: RbacKind,
    policy: Shared,
}

impl CacheListener<DynamicObject> for Follower {
    fn changed(&self, key: &Key, _before: Option<&Arc<DynamicObject>>, after: Option<&Arc<DynamicObject>>) {
        let mut policy = self.policy.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut policy).changed(self.kind, key, after.map(|object| &**object));
    }
}

impl Default for Rbac {
    fn default() -> Self {
        Self::new()
    }
}

impl Rbac {
    /// Without any roles, not yet ready.
    #[must_use]
    pub fn new() -> Self {
        let policy = Shared::default();
        let caches = RbacKind::ALL.map(|kind| {
            let cache = Cache::new();
            cache.listen(Arc::new(Follower { kind, policy: Arc::clone(&policy) }));
            (kind, cache)
        });
        Self { policy, caches }
    }

    /// Follows the roles and bindings of the hub's store, until dropped.
    ///
    /// # Errors
    /// None in practice: the prefixes of the four kinds are well-formed.
    ///
    /// # Cancel safety
    /// Safe; what is known stays, and grows old.
    pub async fn run(&self, hub: &WatchHub, clock: &dyn Clock) -> Result<()> {
        let mut following = Vec::new();
        for (descriptor, (_, cache)) in rbac_kinds().iter().zip(&self.caches) {
            let watcher = StreamWatcher::new(hub.clone(), Selection::prefix(descriptor.prefix(None)?));
            following.push(async move { cache.run(&watcher, clock).await });
        }
        futures_util::future::join_all(following).await;
        Ok(())
    }

    /// Waits until it knows the roles.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn ready(&self) {
        for (_, cache) in &self.caches {
            cache.synced().await;
        }
    }

    /// Waits until it decides by this role or binding as it was written: whoever has just changed a permission may wait
    /// for that to hold. Any other object is not waited for.
    ///
    /// # Errors
    /// [`roa_core::Error::TooLarge`] if it was not seen by `deadline`.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_for(&self, written: &DynamicObject, clock: &dyn Clock, deadline: Monotonic) -> Result<()> {
        let kind = RbacKind::of(written);
        let cache = self.caches.iter().find(|(known, _)| Some(*known) == kind);
        match (cache, written.metadata.resource_version) {
            (Some((_, cache)), Some(revision)) => cache.wait_for(revision, clock, deadline).await,
            _ => Ok(()),
        }
    }

    fn policy(&self) -> RwLockReadGuard<'_, Arc<Policy>> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Arc<Policy> {
        Arc::clone(&self.policy())
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, user: &User, attributes: &Attributes<'_>) -> Decision {
        let decision = self.policy().authorize(user, attributes);
        // Half of the roles allow nothing that all of them would not.
        if decision.is_allowed() || self.is_ready() { decision } else { Decision::NotReady }
    }

    fn rules(&self, user: &User, namespace: &str) -> Vec<Rule> {
        self.snapshot().rules(user, namespace)
    }

    fn check_write(
        &self,
        user: &User,
        before: Option<&DynamicObject>,
        after: &DynamicObject,
    ) -> Result<(), Box<Forbidden>> {
        if user.is_in(MASTERS) {
            return Ok(());
        }
        escalation::check(&self.snapshot(), user, before, after)
    }

    fn is_ready(&self) -> bool {
        self.caches.iter().all(|(_, cache)| cache.is_synced())
    }
}

impl fmt::Debug for Rbac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rbac(ready: {})", self.is_ready())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::Metadata;
    use serde_json::json;

    fn bound_to_everything(name: &str) -> DynamicObject {
        let subject = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name});
        let to = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "all"});
        let body = json!({"roleRef": to, "subjects": [subject]});
        DynamicObject {
            api_version: "rbac.authorization.k8s.io/v1".to_owned(),
            kind: "ClusterRoleBinding".to_owned(),
            metadata: Metadata::named("", name),
            other_metadata: serde_json::Map::new(),
            body: body.as_object().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn t8_a_check_that_takes_long_keeps_no_change_waiting_and_nobody_else() {
        let rbac = Rbac::new();
        let follower = Follower { kind: RbacKind::ClusterRoleBinding, policy: Arc::clone(&rbac.policy) };
        let checking = rbac.snapshot();
        let object = bound_to_everything("u1");
        let key = Key::new("rbac.authorization.k8s.io", "clusterrolebindings", "", "u1").unwrap();
        follower.changed(&key, None, Some(&Arc::new(object)));
        let bound = |policy: &Policy| format!("{policy:?}").contains("u1");
        assert!(!bound(&checking), "what is compared stays as it was");
        assert!(bound(&rbac.snapshot()), "others see the change meanwhile");
    }
}
