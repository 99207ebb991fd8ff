//! [`Readiness`]: what must hold before others may rely on this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Named checks, set by the components they are about. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness(Arc<Mutex<Checks>>);

/// Why each check fails; `None` for one that passes. The names are part of the program, so there are few.
type Checks = BTreeMap<&'static str, Option<String>>;

impl Readiness {
    /// Adds the check `name`, which fails until it is told to pass.
    pub(crate) fn check(&self, name: &'static str) -> Check {
        let check = Check { name, readiness: self.clone() };
        check.fail("not started yet");
        check
    }

    /// A line for each check that fails; without any check, nothing has started.
    pub(crate) fn failures(&self) -> Vec<String> {
        let checks = self.lock();
        if checks.is_empty() {
            return vec!["nothing has started yet".to_owned()];
        }
        checks.iter().filter_map(|(name, reason)| reason.as_ref().map(|reason| format!("{name}: {reason}"))).collect()
    }

    /// All checks by name, each with why it fails if it does.
    pub(crate) fn all(&self) -> Vec<(&'static str, Option<String>)> {
        self.lock().iter().map(|(name, reason)| (*name, reason.clone())).collect()
    }

    /// Each change is one insertion, so what a panicking holder left is whole.
    fn lock(&self) -> MutexGuard<'_, Checks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One check of a [`Readiness`].
#[derive(Debug, Clone)]
pub(crate) struct Check {
    name: &'static str,
    readiness: Readiness,
}

impl Check {
    /// It holds.
    pub(crate) fn pass(&self) {
        self.readiness.lock().insert(self.name, None);
    }

    /// It doesn't, for that reason.
    pub(crate) fn fail(&self, reason: impl Into<String>) {
        // A line break in a reason would look like another check.
        let reason = reason.into().replace(char::is_control, " ");
        self.readiness.lock().insert(self.name, Some(reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_check_passes() {
        let readiness = Readiness::default();
        assert_eq!(readiness.failures(), ["nothing has started yet"]);
        let (store, cache) = (readiness.check("store"), readiness.check("cache"));
        assert_eq!(readiness.failures(), ["cache: not started yet", "store: not started yet"]);
        store.pass();
        cache.pass();
        assert!(readiness.failures().is_empty());
        store.fail("unavailable:\nno route");
        assert_eq!(readiness.failures(), ["store: unavailable: no route"]);
    }
}
