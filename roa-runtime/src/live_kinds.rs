//! [`LiveKinds`]: the kinds of the moment, where they change while the program runs.

use std::sync::{Arc, PoisonError, RwLock};

use roa_core::{Context, KindRegistry};

/// The kinds of the moment. Who declares kinds sets them; who works on objects of any kind takes them for each piece of
/// work. A clone shares them.
///
/// ```
/// # use std::sync::Arc;
/// use roa_core::{KindDescriptor, KindRegistry, Scope};
/// use roa_runtime::LiveKinds;
///
/// let kinds = LiveKinds::new(Arc::new(KindRegistry::new()));
/// let robots = KindDescriptor::dynamic("example.com", "v1", "Robot", "robots", Scope::Namespaced);
/// kinds.set(Arc::new(KindRegistry::new().with_kind(robots)));
/// assert!(kinds.get().by_name("robots").is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct LiveKinds {
    current: Arc<RwLock<Arc<KindRegistry>>>,
}

impl LiveKinds {
    /// These kinds, until others are set.
    #[must_use]
    pub fn new(kinds: Arc<KindRegistry>) -> Self {
        Self { current: Arc::new(RwLock::new(kinds)) }
    }

    /// The kinds of the moment.
    #[must_use]
    pub fn get(&self) -> Arc<KindRegistry> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on, these.
    pub fn set(&self, kinds: Arc<KindRegistry>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = kinds;
    }

    /// The same context over the kinds of the moment.
    pub(crate) fn over(&self, cx: &Context) -> Context {
        cx.clone().with_resources(cx.resources().clone().with_kinds(self.get()))
    }
}
