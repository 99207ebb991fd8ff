//! [`Dependency`]: something outside that controllers call, and that may be down or busy.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;

use crate::ReconcileError;

/// Something outside that controllers call: what stands before it decides whether a call may be made now.
///
/// ```
/// # use async_trait::async_trait;
/// # use roa_core::{CallOutcome, Dependency, Passage, ReconcileError};
/// /// Lets everything through, and counts what fails.
/// #[derive(Debug)]
/// struct Counted;
///
/// struct Call;
///
/// impl Passage for Call {
///     fn leave(self: Box<Self>, outcome: CallOutcome) {
///         println!("{outcome:?}");
///     }
/// }
///
/// #[async_trait]
/// impl Dependency for Counted {
///     fn name(&self) -> &str {
///         "registry"
///     }
///
///     async fn enter(&self) -> Result<Box<dyn Passage>, ReconcileError> {
///         Ok(Box::new(Call))
///     }
/// }
/// ```
#[async_trait]
pub trait Dependency: Debug + Send + Sync + 'static {
    /// Its name, which controllers call it by; a label of metrics.
    fn name(&self) -> &str;

    /// Lets one call through; may wait for a place, for a bounded time.
    ///
    /// # Errors
    /// [`ReconcileError::Deferred`], which says when to come again.
    ///
    /// # Cancel safety
    /// Safe: a place that was taken is given back.
    async fn enter(&self) -> Result<Box<dyn Passage>, ReconcileError>;

    /// What keeps calls from being let through now, for people; `None` if nothing does.
    fn trouble(&self) -> Option<String> {
        None
    }
}

/// One call that was let through. Dropped without an outcome it counts as failed: it took too long, or panicked.
///
/// ```
/// # use roa_core::{CallOutcome, Passage};
/// struct Silent;
///
/// impl Passage for Silent {
///     fn leave(self: Box<Self>, _outcome: CallOutcome) {}
/// }
/// ```
pub trait Passage: Send {
    /// Says how the call ended.
    fn leave(self: Box<Self>, outcome: CallOutcome);
}

/// What a call says of the thing that was called.
///
/// ```
/// use roa_core::{CallOutcome, ReconcileError};
/// let answered: Result<(), ReconcileError> = Ok(());
/// assert_eq!(CallOutcome::of(&answered), CallOutcome::Answered);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// It answered, be it with a refusal.
    Answered,
    /// It did not answer, or could not do its work.
    Failed,
    /// Nothing: it was not reached for a reason of the caller's.
    Unknown,
}

impl CallOutcome {
    /// What the result of a call says: only [`ReconcileError::Transient`] is the dependency's failure.
    #[must_use]
    pub const fn of<T>(result: &Result<T, ReconcileError>) -> Self {
        match result {
            Ok(_) | Err(ReconcileError::Permanent { .. }) => Self::Answered,
            Err(ReconcileError::Transient { .. }) => Self::Failed,
            Err(ReconcileError::Resource(_) | ReconcileError::Deferred { .. }) => Self::Unknown,
        }
    }
}

/// The dependencies of a process, by name.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{Dependencies, Dependency};
/// fn dependencies(registry: Arc<dyn Dependency>) -> Dependencies {
///     Dependencies::default().with(registry)
/// }
/// ```
#[derive(Clone, Default)]
pub struct Dependencies(Arc<BTreeMap<String, Arc<dyn Dependency>>>);

impl Dependencies {
    /// The same with one more, in place of another of that name.
    #[must_use]
    pub fn with(self, dependency: Arc<dyn Dependency>) -> Self {
        let mut all = Arc::unwrap_or_clone(self.0);
        all.insert(dependency.name().to_owned(), dependency);
        Self(Arc::new(all))
    }

    /// The dependency of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Dependency>> {
        self.0.get(name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Makes a call of the dependency `name`, if it may be made now. Where there are no dependencies at all, as in a
    /// test, every call is let through.
    pub(crate) async fn call<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, ReconcileError>> + Send,
    ) -> Result<T, ReconcileError> {
        if self.0.is_empty() {
            return work.await;
        }
        let Some(dependency) = self.get(name) else {
            let known = self.names().collect::<Vec<_>>().join(", ");
            let message = format!("{name:?} is not a dependency of this process, expected one of {known}");
            return Err(ReconcileError::Permanent { reason: "UnknownDependency", message });
        };
        let passage = dependency.enter().await?;
        let result = work.await;
        passage.leave(CallOutcome::of(&result));
        result
    }
}

impl Debug for Dependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::Mutex;
    use std::time::Duration;

    #[derive(Debug, Default)]
    struct Noted(Arc<Mutex<Vec<Option<CallOutcome>>>>);

    struct Call(Arc<Mutex<Vec<Option<CallOutcome>>>>, bool);

    #[async_trait]
    impl Dependency for Noted {
        fn name(&self) -> &'static str {
            "outside"
        }

        async fn enter(&self) -> Result<Box<dyn Passage>, ReconcileError> {
            Ok(Box::new(Call(Arc::clone(&self.0), false)))
        }
    }

    impl Passage for Call {
        fn leave(mut self: Box<Self>, outcome: CallOutcome) {
            self.1 = true;
            self.0.lock().unwrap().push(Some(outcome));
        }
    }

    impl Drop for Call {
        fn drop(&mut self) {
            if !self.1 {
                self.0.lock().unwrap().push(None);
            }
        }
    }

    fn transient() -> ReconcileError {
        ReconcileError::Transient { reason: "Down", message: String::new() }
    }

    #[test]
    fn what_a_call_says_of_the_dependency_depends_on_whose_failure_it_is() {
        let noted = Arc::new(Noted::default());
        let all = Dependencies::default().with(noted.clone());
        let permanent = ReconcileError::Permanent { reason: "Bad", message: String::new() };
        let deferred = ReconcileError::Deferred { reason: "Busy", message: String::new(), after: Duration::ZERO };
        for result in [Ok(()), Err(transient()), Err(permanent), Err(deferred)] {
            let given = all.call("outside", async { result.clone() }).now_or_never().unwrap();
            assert_eq!(given.is_ok(), result.is_ok());
        }
        assert!(all.call("outside", std::future::pending::<Result<(), _>>()).now_or_never().is_none());
        use CallOutcome::{Answered, Failed, Unknown};
        let expected = [Some(Answered), Some(Failed), Some(Answered), Some(Unknown), None];
        assert_eq!(*noted.0.lock().unwrap(), expected, "one that was given up has no outcome");
    }

    #[test]
    fn a_name_that_is_wrong_is_an_error_and_without_dependencies_there_are_no_names() {
        let all = Dependencies::default().with(Arc::new(Noted::default()));
        let error = all.call("inside", async { Ok(()) }).now_or_never().unwrap().unwrap_err();
        assert!(error.to_string().ends_with("expected one of outside") && !error.is_retryable(), "{error}");
        assert!(Dependencies::default().call("inside", async { Ok(()) }).now_or_never().unwrap().is_ok());
    }
}
