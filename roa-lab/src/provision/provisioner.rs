//! [`Provisioner`]: the seam between the controllers of labs and the world outside.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::environment::Redacted;
use super::{ProcessTemplate, ProvisionError, SimulatedTemplate};

/// Brings labs into being and takes them away.
///
/// It keeps no list of its own of what should exist: it is told, and it looks. All of it may be called again after a
/// crash of the caller at any point.
#[async_trait]
pub trait Provisioner: fmt::Debug + Send + Sync + 'static {
    /// The word by which templates choose it.
    fn name(&self) -> &str;

    /// Whether its labs exist on the machine where they were begun, so that no other process can see or end them. Then
    /// only the process with that machine's node id calls it for them.
    fn is_local(&self) -> bool {
        true
    }

    /// Whether a lab that could not be brought up speaks against the provisioner itself, so that the others had better
    /// wait, and not only against what its own template runs. `seen` is what was there in the end: nothing, a lab that
    /// ended, or one that still starts after all its time.
    fn is_to_blame(&self, seen: &Observation) -> bool {
        let _ = seen;
        true
    }

    /// Sees to it that the lab runs: begins it, unless it runs already. Returns when that is recorded, not when the lab
    /// is ready. What has ended is begun anew, from the template.
    ///
    /// # Errors
    /// When nothing was begun; [`ProvisionError::is_retryable`] says whether trying again can help.
    ///
    /// # Cancel safety
    /// A start that was begun goes on when this future is dropped; the next one finds it.
    async fn start(&self, request: &ProvisionRequest) -> Result<(), ProvisionError>;

    /// What is there now.
    ///
    /// # Errors
    /// When it can't be known.
    ///
    /// # Cancel safety
    /// Changes nothing outside.
    async fn observe(&self, request: &ProvisionRequest) -> Result<Observation, ProvisionError>;

    /// Takes one step towards the lab's absence and says how far it is: the first call asks it to end, later ones see
    /// whether it did, and insist when its grace is over. What does not exist is [`StopProgress::Gone`].
    ///
    /// # Errors
    /// When a step failed; the next call tries it again.
    ///
    /// # Cancel safety
    /// A step that was begun goes on when this future is dropped.
    async fn stop(&self, lab: &LabIdentity) -> Result<StopProgress, ProvisionError>;

    /// Everything that exists outside, so that the caller can find what has no lab any more.
    ///
    /// # Errors
    /// When it can't be known.
    async fn list(&self) -> Result<Vec<LabIdentity>, ProvisionError>;
}

/// Which lab is meant. The uid alone decides: it never comes back, a name does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabIdentity {
    /// The lab's `metadata.uid`.
    pub uid: String,
    /// Its namespace; empty in a list if nobody knows it any more.
    pub namespace: String,
    /// Its name; empty in a list if nobody knows it any more.
    pub name: String,
}

impl fmt::Display for LabIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(&self.uid),
            name => write!(f, "{}/{name}", self.namespace),
        }
    }
}

/// What is wanted of a provisioner.
#[derive(Clone, PartialEq)]
pub struct ProvisionRequest {
    /// For whom.
    pub lab: LabIdentity,
    /// What the template says about a process.
    pub process: Option<ProcessTemplate>,
    /// What the template says about a simulation.
    pub simulated: Option<SimulatedTemplate>,
    /// The lab's `spec.environment`.
    pub environment: BTreeMap<String, String>,
    /// How often it was tried before.
    pub attempt: u32,
}

impl fmt::Debug for ProvisionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvisionRequest")
            .field("lab", &self.lab)
            .field("process", &self.process)
            .field("simulated", &self.simulated)
            .field("environment", &Redacted(&self.environment))
            .field("attempt", &self.attempt)
            .finish()
    }
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Observation {
    /// Nothing.
    Absent,
    /// It was begun and does not answer yet.
    Starting,
    /// It answers.
    Ready {
        /// Where, as a URL.
        endpoint: String,
    },
    /// It did answer and no longer does, though it still runs.
    Unhealthy {
        /// Where it should.
        endpoint: String,
        /// What came instead.
        reason: String,
    },
    /// It ended, whoever ended it.
    Exited {
        /// Its exit code, if it had one.
        code: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
        /// What happened, in one line without secrets.
        message: String,
    },
}

/// How far a stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopProgress {
    /// Something is still there: call again.
    Stopping,
    /// Nothing is left.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(environment: &[(&str, &str)]) -> ProvisionRequest {
        ProvisionRequest {
            lab: LabIdentity { uid: "1-2".into(), namespace: "labs".into(), name: "a".into() },
            process: None,
            simulated: None,
            environment: environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            attempt: 0,
        }
    }

    #[test]
    fn t14_debug_of_a_request_hides_secrets_and_shows_the_rest() {
        let shown =
            format!("{:?}", request(&[("DB_PASSWORD", "canary-1"), ("api_key", "canary-2"), ("LEVEL", "three")]));
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("DB_PASSWORD") && shown.contains("three"), "{shown}");
    }

    #[test]
    fn an_identity_reads_as_namespace_and_name_or_else_as_uid() {
        let mut lab = request(&[]).lab;
        assert_eq!(lab.to_string(), "labs/a");
        lab.name.clear();
        assert_eq!(lab.to_string(), "1-2");
    }
}
