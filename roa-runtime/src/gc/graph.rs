//! [`Graph`]: who owns whom, as the change feed says.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use roa_core::lifecycle::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER};
use roa_core::{Key, Metadata, OwnerReference};

/// An object's identity.
pub(super) type Uid = Arc<str>;

/// Who owns whom.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<Uid, Node>,
    by_key: HashMap<Key, Uid>,
    dependents: HashMap<Uid, BTreeSet<Uid>>,
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) key: Key,
    pub(super) owners: Vec<Owner>,
    pub(super) going: Going,
}

/// One owner of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: Uid,
    pub(super) blocks: bool,
}

/// Whether an object was asked to go, and what is to become of its dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    No,
    /// Its dependents are looked at when it is gone.
    Yes,
    /// After its dependents.
    Foreground,
    /// After its dependents lost their reference to it.
    Orphan,
}

impl Going {
    pub(super) fn of(metadata: &Metadata) -> Self {
        match metadata.is_deleting() {
            false => Self::No,
            true if metadata.has_finalizer(ORPHAN_FINALIZER) => Self::Orphan,
            true if metadata.has_finalizer(FOREGROUND_FINALIZER) => Self::Foreground,
            true => Self::Yes,
        }
    }

    /// Whether it goes only when the collector has done something about its dependents.
    const fn concerns_dependents(self) -> bool {
        matches!(self, Self::Foreground | Self::Orphan)
    }
}

impl Owner {
    fn of(reference: &OwnerReference) -> Self {
        Self { uid: reference.uid.as_str().into(), blocks: reference.block_owner_deletion == Some(true) }
    }
}

impl Graph {
    /// An object is there, or is as it is now. Gives what is to be examined.
    pub(super) fn put(&mut self, key: &Key, metadata: &Metadata) -> Vec<Key> {
        let uid: Uid = metadata.uid.as_str().into();
        let mut concerned = match self.by_key.get(key) {
            Some(known) if *known != uid => self.remove(key),
            _ => Vec::new(),
        };
        let owners: Vec<_> = metadata.owner_references.iter().map(Owner::of).collect();
        let node = Node { key: key.clone(), owners, going: Going::of(metadata) };
        let before = self.nodes.get(&uid).cloned();
        if before.as_ref() == Some(&node) {
            return concerned;
        }
        self.unlink(&uid, before.as_ref());
        for owner in &node.owners {
            self.dependents.entry(Arc::clone(&owner.uid)).or_default().insert(Arc::clone(&uid));
        }
        self.by_key.insert(key.clone(), Arc::clone(&uid));
        self.nodes.insert(Arc::clone(&uid), node);
        concerned.extend(before.iter().flat_map(|before| self.waiting_owners(before)));
        concerned.extend(self.concerned(&uid));
        concerned
    }

    /// An object is gone. Gives what is to be examined.
    pub(super) fn remove(&mut self, key: &Key) -> Vec<Key> {
        let Some(uid) = self.by_key.remove(key) else { return Vec::new() };
        let node = self.nodes.remove(&uid);
        self.unlink(&uid, node.as_ref());
        let mut concerned = self.keys_of_dependents(&uid);
        concerned.extend(node.iter().flat_map(|node| self.waiting_owners(node)));
        concerned
    }

    fn unlink(&mut self, uid: &Uid, node: Option<&Node>) {
        for owner in node.into_iter().flat_map(|node| &node.owners) {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
    }

    /// Whom a change of an object concerns: itself, unless all its owners are well; its owners that wait for it; its
    /// dependents, if it waits for them.
    fn concerned(&self, uid: &Uid) -> Vec<Key> {
        let Some(node) = self.nodes.get(uid) else { return Vec::new() };
        let near = |owner: &Node| owner.key.namespace().is_empty() || owner.key.namespace() == node.key.namespace();
        let keeps = |owner: &Node| owner.going != Going::Foreground && near(owner);
        let well = |owner: &Owner| self.nodes.get(&owner.uid).is_some_and(keeps);
        let mut concerned = self.waiting_owners(node);
        if node.going.concerns_dependents() || !node.owners.iter().all(well) {
            concerned.push(node.key.clone());
        }
        if node.going == Going::Foreground {
            concerned.extend(self.keys_of_dependents(uid));
        }
        concerned
    }

    fn waiting_owners(&self, node: &Node) -> Vec<Key> {
        let owners = node.owners.iter().filter_map(|owner| self.nodes.get(&owner.uid));
        owners.filter(|owner| owner.going.concerns_dependents()).map(|owner| owner.key.clone()).collect()
    }

    fn keys_of_dependents(&self, uid: &Uid) -> Vec<Key> {
        self.dependents_of(uid).map(|dependent| dependent.key.clone()).collect()
    }

    /// The objects that have this one as an owner.
    pub(super) fn dependents_of<'a>(&'a self, uid: &str) -> impl Iterator<Item = &'a Node> + use<'a> {
        let uids = self.dependents.get(uid).into_iter().flatten();
        uids.filter_map(|uid| self.nodes.get(uid))
    }

    /// Whether an object can't go before this one.
    pub(super) fn is_blocked(&self, uid: &str) -> bool {
        let blocks = |node: &Node| node.owners.iter().any(|owner| *owner.uid == *uid && owner.blocks);
        self.dependents_of(uid).any(blocks)
    }

    /// The owners of an object that wait for it, and for which it waits in turn: blocking references among objects that all
    /// go in the foreground lead from it to them.
    pub(super) fn owners_in_a_circle(&self, uid: &str) -> Vec<Uid> {
        let mut seen: HashSet<&str> = HashSet::from([uid]);
        let mut next = vec![uid];
        while let Some(uid) = next.pop() {
            for dependent in self.dependents.get(uid).into_iter().flatten() {
                let blocks = |node: &Node| {
                    node.going == Going::Foreground
                        && node.owners.iter().any(|owner| *owner.uid == *uid && owner.blocks)
                };
                if self.nodes.get(dependent).is_some_and(blocks) && seen.insert(dependent) {
                    next.push(dependent);
                }
            }
        }
        let itself = uid;
        let node = self.nodes.get(uid);
        let in_circle = |owner: &&Owner| owner.blocks && (*owner.uid == *itself || seen.contains(&*owner.uid));
        let owners = node.into_iter().flat_map(|node| node.owners.iter().filter(in_circle));
        owners.map(|owner| Arc::clone(&owner.uid)).collect()
    }

    pub(super) fn node(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.by_key.keys()
    }

    /// All that may have to be examined, whatever happened before.
    pub(super) fn everything_concerned(&self) -> Vec<Key> {
        self.nodes.keys().flat_map(|uid| self.concerned(uid)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roa_core::Timestamp;

    fn key(name: &str) -> Key {
        Key::new("g", "things", "n", name).unwrap()
    }

    fn metadata(name: &str, owners: &[&str]) -> Metadata {
        let mut metadata = Metadata::named("n", name);
        metadata.uid = name.to_owned();
        metadata.owner_references = owners
            .iter()
            .map(|uid| OwnerReference {
                uid: (*uid).to_owned(),
                block_owner_deletion: Some(true),
                ..OwnerReference::default()
            })
            .collect();
        metadata
    }

    fn going(mut metadata: Metadata, finalizer: &str) -> Metadata {
        metadata.deletion_timestamp = Some(Timestamp::from_unix_seconds(1).unwrap());
        metadata.finalizers.push(finalizer.to_owned());
        metadata
    }

    fn names(mut keys: Vec<Key>) -> Vec<String> {
        keys.sort();
        keys.dedup();
        keys.iter().map(|key| key.name().to_owned()).collect()
    }

    #[test]
    fn only_those_are_examined_whom_a_change_concerns() {
        let mut graph = Graph::default();
        assert!(graph.put(&key("owner"), &metadata("owner", &[])).is_empty());
        assert!(graph.put(&key("part"), &metadata("part", &["owner"])).is_empty(), "its owner is there");
        assert_eq!(names(graph.put(&key("stray"), &metadata("stray", &["nobody"]))), ["stray"]);
        let leaving = going(metadata("owner", &[]), FOREGROUND_FINALIZER);
        assert_eq!(names(graph.put(&key("owner"), &leaving)), ["owner", "part"]);
        assert!(graph.put(&key("owner"), &leaving).is_empty(), "nothing that counts has changed");
        assert_eq!(names(graph.remove(&key("part"))), ["owner"], "it waited for that");
        assert!(graph.remove(&key("owner")).is_empty() && graph.remove(&key("owner")).is_empty());
    }

    #[test]
    fn d5_another_object_of_the_same_name_is_not_the_owner() {
        let mut graph = Graph::default();
        graph.put(&key("owner"), &metadata("owner", &[]));
        graph.put(&key("part"), &metadata("part", &["owner"]));
        let mut other = metadata("owner", &[]);
        other.uid = "another".into();
        assert_eq!(names(graph.put(&key("owner"), &other)), ["part"]);
        assert!(graph.node("owner").is_none() && graph.node("another").is_some());
    }

    #[test]
    fn d10_circles_are_found_and_chains_are_none() {
        let mut graph = Graph::default();
        for (name, owner) in [("a", "c"), ("b", "a"), ("c", "b"), ("leaf", "a"), ("self", "self")] {
            graph.put(&key(name), &going(metadata(name, &[owner]), FOREGROUND_FINALIZER));
        }
        assert_eq!(graph.owners_in_a_circle("b"), ["a".into()]);
        assert_eq!(graph.owners_in_a_circle("leaf"), Vec::<Uid>::new());
        assert_eq!(graph.owners_in_a_circle("self"), ["self".into()]);
        graph.put(&key("c"), &metadata("c", &["b"]));
        assert!(graph.owners_in_a_circle("b").is_empty(), "c does not go");
    }

    proptest! {
        /// Whatever happened, the index is what a search through all objects would find.
        #[test]
        fn the_index_is_what_the_objects_say(
            steps in prop::collection::vec((0_u8..6, prop::collection::btree_set(0_u8..6, 0..3), any::<bool>()), 0..60),
        ) {
            let mut graph = Graph::default();
            let mut objects = std::collections::BTreeMap::new();
            for (name, owners, there) in steps {
                let (name, owners): (_, Vec<_>) = (name.to_string(), owners.iter().map(ToString::to_string).collect());
                if there {
                    graph.put(&key(&name), &metadata(&name, &owners.iter().map(String::as_str).collect::<Vec<_>>()));
                    objects.insert(name, owners);
                } else {
                    graph.remove(&key(&name));
                    objects.remove(&name);
                }
                for owner in (0_u8..6).map(|owner| owner.to_string()) {
                    let expected: Vec<_> = objects.iter().filter(|(_, owners)| owners.contains(&owner)).map(|(name, _)| name.clone()).collect();
                    prop_assert_eq!(names(graph.keys_of_dependents(&owner.as_str().into())), expected);
                }
                let links: usize = graph.dependents.values().map(BTreeSet::len).sum();
                prop_assert_eq!(links, objects.values().map(Vec::len).sum::<usize>(), "nothing is left behind");
            }
        }
    }
}
