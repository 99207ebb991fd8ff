//! [`Keys`]: the few keys on which clients collide.

use std::sync::Arc;

use roa_core::{Key, KeyPrefix, Random, RandomExt};

const GROUP: &str = "workload.example.com";
const RESOURCE: &str = "things";
/// One is a prefix of the other, so that a prefix which leaks is noticed.
const NAMESPACES: [&str; 2] = ["a", "ab"];

/// The keys that all clients share, and the prefixes over them.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    keys: Arc<[Key]>,
    prefixes: Arc<[KeyPrefix]>,
}

impl Keys {
    #[expect(clippy::expect_used, reason = "constants without NUL and well below 1 KiB make keys")]
    pub(super) fn new(count: u32) -> Self {
        let key = |number: u32| {
            let namespace = NAMESPACES[number as usize % NAMESPACES.len()];
            Key::new(GROUP, RESOURCE, namespace, &format!("thing-{number}")).expect("is a key")
        };
        let namespaces = NAMESPACES.map(|namespace| KeyPrefix::namespace(GROUP, RESOURCE, namespace));
        let kind = KeyPrefix::resource(GROUP, RESOURCE);
        let prefixes = namespaces.into_iter().chain([kind]).map(|prefix| prefix.expect("is a prefix"));
        let everything = std::iter::once(KeyPrefix::everything());
        Self { keys: (0..count.max(3)).map(key).collect(), prefixes: prefixes.chain(everything).collect() }
    }

    pub(super) fn any(&self, random: &dyn Random) -> Key {
        self.keys[index(random, self.keys.len())].clone()
    }

    /// Up to `count` keys, each once.
    pub(super) fn several(&self, random: &dyn Random, count: usize) -> Vec<Key> {
        let first = index(random, self.keys.len());
        let step = 1 + index(random, 2);
        let chosen = (0..count.min(self.keys.len() / 2)).map(|number| (first + number * step) % self.keys.len());
        chosen.map(|index| self.keys[index].clone()).collect()
    }

    pub(super) fn any_prefix(&self, random: &dyn Random) -> KeyPrefix {
        self.prefixes[index(random, self.prefixes.len())].clone()
    }
}

/// A number below `bound`.
pub(super) fn index(random: &dyn Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or(0)
}
