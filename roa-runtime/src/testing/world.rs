//! [`World`]: what a trial has besides its controller.

use std::fmt;
use std::sync::Arc;

use roa_core::{KindRegistry, ManualClock, ResourceStore, SeededRandom, Store, Timestamp};
use roa_store_memory::{MemoryConfig, MemoryStore};

/// What a trial has besides its controller: a store that nothing is wrong with, and whatever is outside of it.
///
/// ```
/// # use std::collections::BTreeSet;
/// # use std::sync::Mutex;
/// # use roa_runtime::testing::World;
/// /// The machines that a cloud has, as far as a controller under trial is concerned.
/// type Cloud = Mutex<BTreeSet<String>>;
///
/// /// That nothing is left outside is part of what must come of it.
/// async fn done(world: &World<Cloud>) -> Result<bool, String> {
///     let head = world.store.state().await.map_err(|error| error.to_string())?.head;
///     let machines = world.outside.lock().map_err(|error| error.to_string())?;
///     Ok(head.get() > 0 && machines.is_empty())
/// }
/// ```
pub struct World<O> {
    /// The store itself, without faults.
    pub store: Arc<dyn Store>,
    /// Objects in it, written as `user`.
    pub resources: ResourceStore,
    /// The time, which moves by itself when nobody can do anything.
    pub clock: ManualClock,
    /// What is outside of the store: it outlives the process.
    pub outside: Arc<O>,
}

/// When each run begins.
const BEGIN: i64 = 1_800_000_000;

impl<O> World<O> {
    pub(super) fn new(kinds: Arc<KindRegistry>, outside: O) -> Self {
        #[expect(clippy::expect_used, reason = "a constant in the range of time stamps")]
        let begin = Timestamp::from_unix_seconds(BEGIN).expect("a time in 2027");
        let clock = ManualClock::new(begin);
        let random = Arc::new(SeededRandom::new(1));
        let shared = Arc::new(clock.clone());
        let store = MemoryStore::new(MemoryConfig::default(), shared.clone(), random.clone());
        let store: Arc<dyn Store> = Arc::new(store);
        let resources = ResourceStore::new(Arc::clone(&store), kinds, shared, random, "user");
        Self { store, resources, clock, outside: Arc::new(outside) }
    }
}

impl<O> fmt::Debug for World<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World({} at {})", self.store, self.resources.clock().now())
    }
}
