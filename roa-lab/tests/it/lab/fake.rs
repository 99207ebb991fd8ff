//! A provisioner that does as it is told, and counts what was begun.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use roa_lab::provision::{LabIdentity, Observation, ProvisionError, ProvisionRequest, Provisioner, StopProgress};

/// Why nothing is begun.
pub type Refusal = fn(&LabIdentity) -> ProvisionError;

/// What there is outside, as far as tests make it up.
#[derive(Debug, Default)]
pub struct Fake {
    labs: Mutex<BTreeMap<String, Outside>>,
    /// Everything that was begun, by uid: how often.
    begun: Mutex<BTreeMap<String, usize>>,
    requests: Mutex<Vec<ProvisionRequest>>,
    refuses: Mutex<Option<Refusal>>,
    /// Begins, and then never comes back: as if its caller crashed.
    pub hangs_after_start: AtomicBool,
    /// Can't say what is there.
    pub is_blind: AtomicBool,
    /// A stop takes two steps.
    pub stops_slowly: AtomicBool,
}

#[derive(Debug, Clone)]
struct Outside {
    lab: LabIdentity,
    seen: Observation,
    stopping: bool,
}

impl Fake {
    fn labs(&self) -> MutexGuard<'_, BTreeMap<String, Outside>> {
        self.labs.lock().unwrap()
    }

    /// From now on the lab is seen so.
    pub fn set(&self, uid: &str, seen: Observation) {
        if let Some(outside) = self.labs().get_mut(uid) {
            outside.seen = seen;
        }
    }

    pub fn answers(&self, uid: &str) {
        self.set(uid, Observation::Ready { endpoint: format!("fake://{uid}") });
    }

    pub fn exits(&self, uid: &str, message: &str) {
        self.set(uid, Observation::Exited { code: Some(1), signal: None, message: message.to_owned() });
    }

    pub fn is_unhealthy(&self, uid: &str) {
        self.set(uid, Observation::Unhealthy { endpoint: format!("fake://{uid}"), reason: "refused".into() });
    }

    pub fn vanishes(&self, uid: &str) {
        self.labs().remove(uid);
    }

    /// Something that no lab asked for.
    pub fn appears(&self, lab: LabIdentity) {
        self.labs().insert(lab.uid.clone(), Outside { lab, seen: Observation::Starting, stopping: false });
    }

    pub fn refuses(&self, why: Option<Refusal>) {
        *self.refuses.lock().unwrap() = why;
    }

    /// How often something was begun for the lab.
    pub fn begun(&self, uid: &str) -> usize {
        self.begun.lock().unwrap().get(uid).copied().unwrap_or(0)
    }

    pub fn exists(&self, uid: &str) -> bool {
        self.labs().contains_key(uid)
    }

    pub fn uids(&self) -> Vec<String> {
        self.labs().keys().cloned().collect()
    }

    pub fn last_request(&self) -> ProvisionRequest {
        self.requests.lock().unwrap().last().cloned().expect("something was started")
    }

    fn begin(&self, request: &ProvisionRequest) {
        let lab = request.lab.clone();
        *self.begun.lock().unwrap().entry(lab.uid.clone()).or_default() += 1;
        self.appears(lab);
    }
}

#[async_trait]
impl Provisioner for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn start(&self, request: &ProvisionRequest) -> Result<(), ProvisionError> {
        self.requests.lock().unwrap().push(request.clone());
        let refuses = *self.refuses.lock().unwrap();
        if let Some(why) = refuses {
            return Err(why(&request.lab));
        }
        let seen = self.labs().get(&request.lab.uid).map(|outside| outside.seen.clone());
        if matches!(seen, None | Some(Observation::Exited { .. })) {
            self.begin(request);
        }
        if self.hangs_after_start.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn observe(&self, request: &ProvisionRequest) -> Result<Observation, ProvisionError> {
        if self.is_blind.load(Ordering::SeqCst) {
            return Err(ProvisionError::Deadline { action: "look at a lab", limit: Duration::from_secs(10) });
        }
        Ok(self.labs().get(&request.lab.uid).map_or(Observation::Absent, |outside| outside.seen.clone()))
    }

    async fn stop(&self, lab: &LabIdentity) -> Result<StopProgress, ProvisionError> {
        let slowly = self.stops_slowly.load(Ordering::SeqCst);
        let mut labs = self.labs();
        match labs.get_mut(&lab.uid) {
            Some(outside) if slowly && !outside.stopping => {
                outside.stopping = true;
                Ok(StopProgress::Stopping)
            }
            _ => {
                labs.remove(&lab.uid);
                Ok(StopProgress::Gone)
            }
        }
    }

    async fn list(&self) -> Result<Vec<LabIdentity>, ProvisionError> {
        Ok(self.labs().values().map(|outside| outside.lab.clone()).collect())
    }
}

/// Handed to the registry, kept by the test.
pub fn fake() -> Arc<Fake> {
    Arc::default()
}
