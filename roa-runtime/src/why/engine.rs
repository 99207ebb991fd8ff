//! [`Explainer`]: what the process that handles an object knows of it.

use std::fmt;
use std::sync::Arc;

use roa_core::{Dependencies, HumanDuration, Key, KindDescriptor, ResourceStore, Result, Store, Timestamp};

use super::{DependencyState, Explanation, Handling, Phase, explain_from_store};
use crate::manager::Component;
use crate::{Membership, Territory};

/// Explains objects from what a process knows: the queues of its controllers, what went wrong last, which shard is whose.
/// A clone explains the same. A manager makes it: [`Manager::explainer`](crate::Manager::explainer).
///
/// ```
/// # use roa_runtime::{Explainer, Manager};
/// # async fn example(manager: &Manager) -> roa_core::Result<()> {
/// let explainer = manager.explainer();
/// let why = explainer.explain("LabInstance", "school", "one").await?;
/// println!("{}", serde_json::to_string(&why).unwrap_or_default());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Explainer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) resources: ResourceStore,
    pub(crate) components: Arc<[Arc<dyn Component>]>,
    pub(crate) dependencies: Dependencies,
    pub(crate) territory: Territory,
    pub(crate) membership: Option<Membership>,
    /// What the processes divide.
    pub(crate) group: Option<Arc<str>>,
}

impl Explainer {
    /// Explains an object; `kind` is any name of its kind. That there is no such object is no error.
    ///
    /// # Errors
    /// [`roa_core::Error::UnknownKind`], [`roa_core::Error::Invalid`] for a name that makes no key, and as
    /// [`explain_from_store`].
    pub async fn explain(&self, kind: &str, namespace: &str, name: &str) -> Result<Explanation> {
        let kind = Arc::clone(self.resources.kinds().by_name(kind)?);
        let key = kind.key(namespace, name)?;
        let mut told = self.stored(&kind, &key).await?;
        told.process = Some(self.process().to_owned());
        let is_mine = self.territory.owns(&key);
        if let Some(owner) = &mut told.owner {
            owner.is_self = is_mine;
        }
        told.controllers = self.components.iter().filter_map(|component| component.explain(&key)).collect();
        if !is_mine {
            told.controllers.iter_mut().for_each(|handling| handling.phase = Phase::Elsewhere);
        }
        for finalizer in &mut told.finalizers {
            let owner =
                self.components.iter().find_map(|component| component.owner_of_finalizer(&key, &finalizer.name));
            finalizer.owner = owner.map(str::to_owned);
        }
        let named = self.dependencies.names().filter_map(|name| Some((name, self.dependencies.get(name)?.trouble()?)));
        told.dependencies = named.map(|(name, trouble)| DependencyState { name: name.to_owned(), trouble }).collect();
        let waits = self.waits(&told);
        told.waits_for.splice(0..0, waits);
        told.next_run = told.controllers.iter().filter_map(|handling| next_run(handling, told.at)).min();
        Ok(told)
    }

    async fn stored(&self, kind: &KindDescriptor, key: &Key) -> Result<Explanation> {
        explain_from_store(&self.store, &self.resources, kind, key, self.group.as_deref()).await
    }

    /// The name of this process among the others.
    #[must_use]
    pub fn process(&self) -> &str {
        self.membership.as_ref().map_or("this process, which is alone", Membership::holder)
    }

    fn waits(&self, told: &Explanation) -> Vec<String> {
        let mut waits = Vec::new();
        if let Some(owner) = told.owner.as_ref().filter(|owner| !owner.is_self) {
            match &owner.process {
                Some(process) if process == self.process() => waits.push(format!("{} is being given up", owner.what)),
                Some(process) if owner.has_heartbeat => {
                    waits.push(format!("{process} handles it: it has {}", owner.what));
                }
                _ => {}
            }
        }
        waits.extend(told.controllers.iter().filter_map(wait));
        if told.object.as_ref().is_some_and(|object| object.deleted_at.is_some()) {
            let unowned = told.finalizers.iter().filter(|finalizer| finalizer.owner.is_none());
            waits.extend(
                unowned.map(|it| format!("finalizer {}, which no controller of this process takes off", it.name)),
            );
        }
        waits.extend(told.dependencies.iter().map(|it| format!("dependency {}: {}", it.name, it.trouble)));
        waits
    }
}

/// What it waits for with one controller, in a sentence.
fn wait(handling: &Handling) -> Option<String> {
    let (name, queue) = (&handling.controller, handling.queue);
    let error = handling.last_error.as_ref();
    let because = error.map(|it| format!("; {}: {}", it.reason, it.message)).unwrap_or_default();
    Some(match handling.phase {
        Phase::Waiting { .. } => {
            let (ready, workers) = (queue.ready, queue.workers);
            format!("a worker of {name}: {ready} keys could run, {workers} may run at once")
        }
        Phase::Delayed { seconds } if handling.failures > 0 => {
            let more = HumanDuration::about(seconds);
            format!("the back-off of {name} after {} failures: {more} more{because}", handling.failures)
        }
        Phase::Delayed { seconds } => {
            format!("its time with {name}: {} more{because}", HumanDuration::about(seconds))
        }
        Phase::Running { seconds, .. } => format!("{name}, which has run for {}", HumanDuration::about(seconds)),
        Phase::GivenUp => format!("a change: {name} has given it up{because}"),
        Phase::Idle | Phase::Elsewhere => return None,
    })
}

fn next_run(handling: &Handling, now: Timestamp) -> Option<Timestamp> {
    match handling.phase {
        Phase::Waiting { .. } | Phase::Running { again: true, .. } => Some(now),
        Phase::Delayed { seconds } => {
            Some(now.saturating_add(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default()))
        }
        _ => None,
    }
}

impl fmt::Debug for Explainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Explainer({}, {} components)", self.process(), self.components.len())
    }
}
