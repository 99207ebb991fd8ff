//! [`Provisioners`]: which provisioner a template means by its word.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::provision::{LabIdentity, ProvisionError, Provisioner, StopProgress};

/// The provisioners that a process has, by name. Adding one touches no controller.
#[derive(Debug, Clone, Default)]
pub struct Provisioners(BTreeMap<String, Arc<dyn Provisioner>>);

impl Provisioners {
    /// The same with one more, in place of another of its name.
    #[must_use]
    pub fn with(mut self, provisioner: Arc<dyn Provisioner>) -> Self {
        self.0.insert(provisioner.name().to_owned(), provisioner);
        self
    }

    /// The one with a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Provisioner>> {
        self.0.get(name)
    }

    /// All names, for messages.
    #[must_use]
    pub fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Provisioner>> {
        self.0.values()
    }

    /// Takes a step towards a lab's absence with each of them: which one brought it up may no longer be known.
    pub(crate) async fn stop(&self, lab: &LabIdentity) -> Result<StopProgress, ProvisionError> {
        let mut progress = StopProgress::Gone;
        for provisioner in self.iter() {
            if provisioner.stop(lab).await? == StopProgress::Stopping {
                progress = StopProgress::Stopping;
            }
        }
        Ok(progress)
    }
}
