//! [`WorkerProvisioner`]: how a worker comes to exist outside of the store. [`WorkerProvisioners`]: who can do that.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use roa_core::{ReconcileError, Timestamp};

use super::Worker;
use crate::LabWorker;
use crate::provision::StopProgress;

/// What a provisioner is asked about a worker.
#[derive(Debug, Clone)]
pub struct WorkerRequest {
    /// Which worker: what it is known by outside.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name, for people.
    pub name: String,
    /// What is wanted.
    pub spec: LabWorker,
    /// When it was begun to be brought up, as the store says.
    pub started_at: Option<Timestamp>,
    /// The time.
    pub now: Timestamp,
}

impl WorkerRequest {
    pub(super) fn of(worker: &Worker, now: Timestamp) -> Self {
        let metadata = &worker.metadata;
        Self {
            uid: metadata.uid.clone(),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            spec: worker.spec.clone(),
            started_at: worker.status.provisioning_started_at,
            now,
        }
    }
}

/// How a worker is, outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerObservation {
    /// It is being brought up.
    Starting,
    /// It is up. From now on it gives signs of life, in its [`LabWorkerHeartbeat`](super::LabWorkerHeartbeat).
    Running,
    /// It came to nothing, or is gone.
    Gone {
        /// What is known of that.
        reason: String,
    },
}

/// Brings workers up and takes them away. Everything is idempotent by the worker's uid.
#[async_trait]
pub trait WorkerProvisioner: fmt::Debug + Send + Sync + 'static {
    /// The name that workers choose it by.
    fn name(&self) -> &str;

    /// Begins to bring a worker up; does nothing if that was begun.
    ///
    /// # Errors
    /// [`ReconcileError::Permanent`] if it can't be brought up, all others are tried again.
    async fn start(&self, worker: &WorkerRequest) -> Result<(), ReconcileError>;

    /// Looks at a worker. Changes nothing.
    ///
    /// # Errors
    /// It can't be looked at now.
    async fn observe(&self, worker: &WorkerRequest) -> Result<WorkerObservation, ReconcileError>;

    /// Takes one step towards the end of a worker.
    ///
    /// # Errors
    /// It can't be ended now.
    async fn stop(&self, worker: &WorkerRequest) -> Result<StopProgress, ReconcileError>;
}

/// Who can bring workers up, by name. Whatever is registered here, workers can choose; no controller knows more of it.
#[derive(Debug, Clone, Default)]
pub struct WorkerProvisioners {
    by_name: BTreeMap<String, Arc<dyn WorkerProvisioner>>,
}

impl WorkerProvisioners {
    /// Nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more, in place of another of its name.
    #[must_use]
    pub fn with(mut self, provisioner: Arc<dyn WorkerProvisioner>) -> Self {
        self.by_name.insert(provisioner.name().to_owned(), provisioner);
        self
    }

    /// The one of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn WorkerProvisioner>> {
        self.by_name.get(name)
    }

    /// Their names, for messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
        if names.is_empty() { "none: nobody is registered".to_owned() } else { names.join(" or ") }
    }
}
