//! [`Holdings`]: what labs hold of this node, kept as labs change, so that to place one nobody has to look at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roa_core::Key;
use roa_runtime::CacheListener;

use crate::{Lab, LabState, Resources};

/// What a lab holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    /// Of this machine; nothing if it is on a worker.
    pub(crate) place: Option<Resources>,
    pub(crate) provisioning: bool,
}

impl Hold {
    /// By the lab's status; `None` if it is not on this node. One that waits for its next attempt is not being brought up.
    fn of(lab: &Lab, node: &str) -> Option<Self> {
        let status = &lab.status;
        let allocation = status.allocation.as_ref().filter(|allocation| allocation.node == node)?;
        let provisioning = status.state() == LabState::Provisioning && status.next_attempt_at.is_none();
        let place = allocation.worker.is_none().then(|| allocation.resources());
        Some(Self { place, provisioning })
    }
}

/// What several labs hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) resources: Resources,
    pub(crate) labs: usize,
    pub(crate) provisioning: usize,
}

impl Total {
    const NOTHING: Self = Self { resources: Resources::ZERO, labs: 0, provisioning: 0 };

    pub(crate) fn and(self, hold: Hold) -> Self {
        Self {
            resources: self.resources + hold.place.unwrap_or(Resources::ZERO),
            labs: self.labs + usize::from(hold.place.is_some()),
            provisioning: self.provisioning + usize::from(hold.provisioning),
        }
    }

    /// Without what was added before. Sums of amounts are exact: none is large enough for that many.
    pub(crate) fn without(self, hold: Hold) -> Self {
        Self {
            resources: self.resources - hold.place.unwrap_or(Resources::ZERO),
            labs: self.labs - usize::from(hold.place.is_some()),
            provisioning: self.provisioning - usize::from(hold.provisioning),
        }
    }
}

/// By the uid of each lab that is on the node.
#[derive(Debug)]
pub(crate) struct Holdings {
    by_uid: HashMap<String, Hold>,
    total: Total,
}

impl Holdings {
    fn none() -> Self {
        Self { by_uid: HashMap::new(), total: Total::NOTHING }
    }

    /// Those of these labs.
    pub(crate) fn count<'a>(labs: impl Iterator<Item = &'a Lab>, node: &str) -> Self {
        let mut this = Self::none();
        labs.for_each(|lab| this.set(&lab.metadata.uid, Hold::of(lab, node)));
        this
    }

    fn set(&mut self, uid: &str, hold: Option<Hold>) {
        let before = match hold {
            Some(hold) => self.by_uid.insert(uid.to_owned(), hold),
            None => self.by_uid.remove(uid),
        };
        self.total = before.map_or(self.total, |before| self.total.without(before));
        self.total = hold.map_or(self.total, |hold| self.total.and(hold));
    }

    /// What one of them holds.
    pub(crate) fn of(&self, uid: &str) -> Option<Hold> {
        self.by_uid.get(uid).copied()
    }

    /// What all of them hold.
    pub(crate) const fn total(&self) -> Total {
        self.total
    }
}

/// Holdings that follow a cache: at least as new as its revision.
#[derive(Debug)]
pub(crate) struct Followed {
    node: String,
    holdings: Mutex<Holdings>,
}

impl Followed {
    pub(crate) fn new(node: String) -> Self {
        Self { node, holdings: Mutex::new(Holdings::none()) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Holdings> {
        self.holdings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CacheListener<Lab> for Followed {
    fn changed(&self, _key: &Key, before: Option<&Arc<Lab>>, after: Option<&Arc<Lab>>) {
        let mut holdings = self.lock();
        if let Some(before) = before {
            holdings.set(&before.metadata.uid, None);
        }
        if let Some(after) = after {
            holdings.set(&after.metadata.uid, Hold::of(after, &self.node));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Allocation, LabInstance, Quantity};

    pub(crate) fn needs(cpu: u32) -> Resources {
        Resources { cpu: Quantity::whole(cpu), memory: Quantity::mebi(1) }
    }

    /// A lab that has a processor of a node.
    pub(crate) fn lab(uid: &str, node: &str, state: LabState) -> Lab {
        let mut lab = Lab::new("labs", uid, LabInstance::default());
        lab.metadata.uid = uid.to_owned();
        let Resources { cpu, memory } = needs(1);
        lab.status.state = Some(state);
        lab.status.allocation =
            Some(Allocation { node: node.into(), provisioner: "p".into(), cpu, memory, worker: None });
        lab
    }

    proptest! {
        /// Whatever happens to labs, what was followed is what a look at all of them would find.
        #[test]
        fn what_follows_the_changes_is_what_is_counted_in_the_end(
            changes in prop::collection::vec((0_usize..6, 0_u8..3, 1_u32..1_000, prop::sample::select(LabState::ALL.to_vec()), any::<bool>()), 0..60),
        ) {
            let (followed, mut labs) = (Followed::new("here".into()), HashMap::new());
            for (name, node, cpu, state, goes) in changes {
                let key = Key::new("g", "labs", "n", &name.to_string()).unwrap();
                let before: Option<Arc<Lab>> = labs.remove(&name);
                let mut after = lab(&format!("uid-{name}"), ["here", "there", ""][usize::from(node)], state);
                after.status.allocation = after.status.allocation.filter(|held| !held.node.is_empty());
                if let Some(held) = &mut after.status.allocation {
                    held.cpu = Quantity::milli(cpu);
                }
                let after = Some(Arc::new(after)).filter(|_| !goes);
                followed.changed(&key, before.as_ref(), after.as_ref());
                labs.extend(after.map(|after| (name, after)));
            }
            let counted = Holdings::count(labs.values().map(|lab| &**lab), "here");
            let followed = followed.lock();
            prop_assert_eq!(followed.total(), counted.total());
            prop_assert_eq!(&followed.by_uid, &counted.by_uid);
        }
    }
}
