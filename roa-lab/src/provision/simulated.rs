//! [`SimulatedProvisioner`]: labs that only seem to be, the same for the same seed.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{Clock, Monotonic, RandomExt, SeededRandom};

use super::{LabIdentity, Observation, ProvisionError, ProvisionRequest, Provisioner, SimulatedTemplate, StopProgress};

/// Labs that only seem to be. What happens to a lab follows from the template's seed, the lab's uid and the attempt.
pub struct SimulatedProvisioner {
    clock: Arc<dyn Clock>,
    max_labs: usize,
    labs: Mutex<HashMap<String, Simulated>>,
}

struct Simulated {
    lab: LabIdentity,
    attempt: u32,
    ready_at: Monotonic,
    fate: Fate,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Works,
    Fails,
    Hangs,
}

impl SimulatedProvisioner {
    /// A provisioner of at most `max_labs` labs, whose time is that of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, max_labs: usize) -> Self {
        Self { clock, max_labs, labs: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Simulated>> {
        self.labs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many labs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn state(&self, simulated: &Simulated) -> Observation {
        let begun = self.clock.monotonic() >= simulated.ready_at;
        match simulated.fate {
            Fate::Works if begun => Observation::Ready { endpoint: format!("simulated://{}", simulated.lab.uid) },
            Fate::Fails if begun => {
                let message = format!("attempt {} fails, as its template says", simulated.attempt + 1);
                Observation::Exited { code: Some(1), signal: None, message }
            }
            _ => Observation::Starting,
        }
    }
}

impl fmt::Debug for SimulatedProvisioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedProvisioner({} of {} labs)", self.len(), self.max_labs)
    }
}

fn fate(template: &SimulatedTemplate, uid: &str, attempt: u32) -> Fate {
    if attempt < template.fail_first {
        return Fate::Fails;
    }
    let random = SeededRandom::new(uid.bytes().fold(template.seed ^ u64::from(attempt), |seed, byte| {
        // FNV-1a: any fixed mixing does, as long as it never changes.
        (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }));
    match random.unit() {
        draw if draw < template.stuck_rate => Fate::Hangs,
        draw if draw < template.stuck_rate + template.failure_rate => Fate::Fails,
        _ => Fate::Works,
    }
}

#[async_trait]
impl Provisioner for SimulatedProvisioner {
    fn name(&self) -> &'static str {
        "simulated"
    }

    async fn start(&self, request: &ProvisionRequest) -> Result<(), ProvisionError> {
        let template = request.simulated.clone().unwrap_or_default();
        let mut labs = self.lock();
        let (count, known) = (labs.len(), labs.get(&request.lab.uid));
        if known.is_none() && count >= self.max_labs {
            return Err(ProvisionError::AtCapacity { lab: request.lab.clone(), limit: self.max_labs });
        }
        // What runs is adopted; what has ended is begun anew.
        if known.is_some_and(|known| !matches!(self.state(known), Observation::Exited { .. })) {
            return Ok(());
        }
        let takes: Duration = template.provision_time.0;
        let simulated = Simulated {
            lab: request.lab.clone(),
            attempt: request.attempt,
            ready_at: self.clock.monotonic() + takes,
            fate: fate(&template, &request.lab.uid, request.attempt),
        };
        labs.insert(request.lab.uid.clone(), simulated);
        Ok(())
    }

    async fn observe(&self, request: &ProvisionRequest) -> Result<Observation, ProvisionError> {
        Ok(self.lock().get(&request.lab.uid).map_or(Observation::Absent, |simulated| self.state(simulated)))
    }

    async fn stop(&self, lab: &LabIdentity) -> Result<StopProgress, ProvisionError> {
        self.lock().remove(&lab.uid);
        Ok(StopProgress::Gone)
    }

    async fn list(&self) -> Result<Vec<LabIdentity>, ProvisionError> {
        Ok(self.lock().values().map(|simulated| simulated.lab.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::{HumanDuration, ManualClock, Timestamp};
    use std::collections::BTreeMap;

    fn request(uid: &str, attempt: u32, template: SimulatedTemplate) -> ProvisionRequest {
        let lab = LabIdentity { uid: uid.into(), namespace: "n".into(), name: uid.into() };
        ProvisionRequest { lab, process: None, simulated: Some(template), environment: BTreeMap::new(), attempt }
    }

    fn template() -> SimulatedTemplate {
        SimulatedTemplate { provision_time: HumanDuration(Duration::from_secs(5)), ..SimulatedTemplate::default() }
    }

    fn world() -> (ManualClock, SimulatedProvisioner) {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
        let provisioner = SimulatedProvisioner::new(Arc::new(clock.clone()), 2);
        (clock, provisioner)
    }

    #[tokio::test]
    async fn a_lab_takes_its_time_and_starting_it_twice_changes_nothing() {
        let (clock, provisioner) = world();
        let lab = request("a", 0, template());
        assert_eq!(provisioner.observe(&lab).await.unwrap(), Observation::Absent);
        provisioner.start(&lab).await.unwrap();
        clock.advance(Duration::from_secs(4));
        provisioner.start(&lab).await.unwrap();
        assert_eq!(provisioner.observe(&lab).await.unwrap(), Observation::Starting);
        clock.advance(Duration::from_secs(1));
        assert!(matches!(provisioner.observe(&lab).await.unwrap(), Observation::Ready { .. }));
        assert_eq!(provisioner.stop(&lab.lab).await.unwrap(), StopProgress::Gone);
        assert!(provisioner.is_empty() && provisioner.list().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_first_attempts_fail_and_labs_are_bounded() {
        let (clock, provisioner) = world();
        let failing = SimulatedTemplate { fail_first: 1, ..template() };
        provisioner.start(&request("a", 0, failing.clone())).await.unwrap();
        clock.advance(Duration::from_secs(5));
        assert!(matches!(
            provisioner.observe(&request("a", 0, failing.clone())).await.unwrap(),
            Observation::Exited { .. }
        ));
        provisioner.start(&request("a", 1, failing)).await.unwrap();
        clock.advance(Duration::from_secs(5));
        assert!(matches!(provisioner.observe(&request("a", 1, template())).await.unwrap(), Observation::Ready { .. }));
        provisioner.start(&request("b", 0, template())).await.unwrap();
        assert!(matches!(
            provisioner.start(&request("c", 0, template())).await,
            Err(ProvisionError::AtCapacity { .. })
        ));
    }

    #[test]
    fn fates_follow_from_the_seed_and_come_as_often_as_the_rates_say() {
        let template =
            SimulatedTemplate { failure_rate: 0.3, stuck_rate: 0.05, seed: 7, ..SimulatedTemplate::default() };
        let fates: Vec<_> = (0..10_000).map(|lab| fate(&template, &lab.to_string(), 0)).collect();
        let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
        assert!((2_700..3_300).contains(&count(Fate::Fails)) && (350..650).contains(&count(Fate::Hangs)));
        assert_eq!(fate(&template, "x", 3), fate(&template, "x", 3));
    }
}
