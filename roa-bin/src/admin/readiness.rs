//! [`Readiness`]: what must hold before others may rely on this process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Named checks: some are told by the components they are about, some look at the moment of the question. Clones share
/// them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness(Arc<Mutex<Checks>>);

/// The names are part of the program, so there are few.
type Checks = BTreeMap<&'static str, Verdict>;

/// Whether a check holds: `None` if it does, else why not.
#[derive(Clone)]
enum Verdict {
    /// As it was last told.
    Told(Option<String>),
    /// As it is found when somebody asks.
    Found(Arc<dyn Fn() -> Option<String> + Send + Sync>),
}

impl Readiness {
    /// Adds the check `name`, which fails until it is told to pass.
    pub(crate) fn check(&self, name: &'static str) -> Check {
        let check = Check { name, readiness: self.clone() };
        check.fail("not started yet");
        check
    }

    /// Adds the check `name`, which fails while `look` finds a reason. Nothing looks before it is asked for.
    pub(crate) fn look(&self, name: &'static str, look: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.lock().insert(name, Verdict::Found(Arc::new(look)));
    }

    /// A line for each check that fails; without any check, nothing has started.
    pub(crate) fn failures(&self) -> Vec<String> {
        let checks = self.all();
        if checks.is_empty() {
            return vec!["nothing has started yet".to_owned()];
        }
        checks.into_iter().filter_map(|(name, reason)| reason.map(|reason| format!("{name}: {reason}"))).collect()
    }

    /// All checks by name, each with why it fails if it does.
    pub(crate) fn all(&self) -> Vec<(&'static str, Option<String>)> {
        // Who looks takes locks of their own: not under this one.
        let checks = self.lock().clone();
        checks.into_iter().map(|(name, verdict)| (name, verdict.reason())).collect()
    }

    /// Each change is one insertion, so what a panicking holder left is whole.
    fn lock(&self) -> MutexGuard<'_, Checks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Verdict {
    /// Why it fails, in one line: a line break would look like another check.
    fn reason(self) -> Option<String> {
        let reason = match self {
            Self::Told(reason) => reason,
            Self::Found(look) => look(),
        };
        reason.map(|reason| reason.replace(char::is_control, " "))
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(reason) => f.debug_tuple("Told").field(reason).finish(),
            Self::Found(_) => f.write_str("Found"),
        }
    }
}

/// One check of a [`Readiness`] that is told.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    name: &'static str,
    readiness: Readiness,
}

impl Check {
    /// It holds.
    pub(crate) fn pass(&self) {
        self.tell(None);
    }

    /// It doesn't, for that reason.
    pub(crate) fn fail(&self, reason: impl Into<String>) {
        self.tell(Some(reason.into()));
    }

    fn tell(&self, reason: Option<String>) {
        self.readiness.lock().insert(self.name, Verdict::Told(reason));
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

    #[test]
    fn a_check_that_looks_says_how_it_is_now() {
        let (readiness, watches) = (Readiness::default(), Arc::new(Mutex::new(None)));
        let seen = Arc::clone(&watches);
        readiness.look("watches", move || seen.lock().unwrap().clone());
        assert!(readiness.failures().is_empty());
        *watches.lock().unwrap() = Some("silent\nfor 30 s".to_owned());
        assert_eq!(readiness.failures(), ["watches: silent for 30 s"]);
        assert_eq!(readiness.all(), [("watches", Some("silent for 30 s".to_owned()))]);
    }
}
