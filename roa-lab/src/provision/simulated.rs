//! [`SimulatedProvisioner`]: labs that only seem to be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{Clock, Monotonic, RandomExt, SeededRandom};

use super::{LabIdentity, Observation, ProvisionError, ProvisionRequest, Provisioner, SimulatedTemplate, StopProgress};

/// The signal that ends what is killed.
const SIGKILL: i32 = 9;

/// Labs that only seem to be: they take their time, fail and hang as their template says.
///
/// What happens to a lab depends on the template's seed, the lab's uid and the number of the attempt, and on nothing
/// else. Labs live in the memory of this process, and are gone with it.
///
/// ```
/// use std::sync::Arc;
/// use roa_core::{ManualClock, Timestamp};
/// use roa_lab::provision::{Provisioner, SimulatedProvisioner};
/// let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(0).unwrap()));
/// let provisioner = SimulatedProvisioner::new(clock, 100);
/// assert_eq!(provisioner.name(), "simulated");
/// ```
#[derive(Debug)]
pub struct SimulatedProvisioner {
    clock: Arc<dyn Clock>,
    max_labs: usize,
    labs: Mutex<HashMap<String, Simulation>>,
}

#[derive(Debug)]
struct Simulation {
    lab: LabIdentity,
    begun: Monotonic,
    provision_time: Duration,
    fate: Fate,
    attempt: u32,
}

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Works,
    Fails,
    Hangs,
    Killed,
}

impl SimulatedProvisioner {
    /// A provisioner of at most `max_labs` labs, whose time is that of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, max_labs: usize) -> Self {
        Self { clock, max_labs, labs: Mutex::default() }
    }

    /// Ends a lab as a crash would. Gives whether there was one.
    pub fn kill(&self, uid: &str) -> bool {
        let mut labs = self.lock();
        let killed = labs.get_mut(uid);
        killed.map(|simulation| simulation.fate = Fate::Killed).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Simulation>> {
        self.labs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, simulation: &Simulation) -> Observation {
        let under_way = self.clock.monotonic().saturating_since(simulation.begun) < simulation.provision_time;
        match simulation.fate {
            Fate::Killed => Observation::Exited { code: None, signal: Some(SIGKILL), message: "was killed".to_owned() },
            Fate::Hangs => Observation::Starting,
            Fate::Works | Fate::Fails if under_way => Observation::Starting,
            Fate::Works => Observation::Ready { endpoint: format!("simulated://{}", simulation.lab.uid) },
            Fate::Fails => {
                let message = format!("simulated failure of attempt {}", simulation.attempt + 1);
                Observation::Exited { code: Some(1), signal: None, message }
            }
        }
    }
}

#[async_trait]
impl Provisioner for SimulatedProvisioner {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn is_local(&self) -> bool {
        false
    }

    async fn start(&self, request: &ProvisionRequest) -> Result<(), ProvisionError> {
        let mut labs = self.lock();
        let uid = &request.lab.uid;
        match labs.get(uid).map(|simulation| self.look(simulation)) {
            None if labs.len() >= self.max_labs => {
                return Err(ProvisionError::AtCapacity { lab: request.lab.clone(), limit: self.max_labs });
            }
            None | Some(Observation::Exited { .. }) => {}
            Some(_) => return Ok(()),
        }
        let template = request.simulated.clone().unwrap_or_default();
        let simulation = Simulation {
            lab: request.lab.clone(),
            begun: self.clock.monotonic(),
            provision_time: template.provision_time.0,
            fate: fate(&template, uid, request.attempt),
            attempt: request.attempt,
        };
        labs.insert(uid.clone(), simulation);
        Ok(())
    }

    async fn observe(&self, request: &ProvisionRequest) -> Result<Observation, ProvisionError> {
        let labs = self.lock();
        Ok(labs.get(&request.lab.uid).map_or(Observation::Absent, |simulation| self.look(simulation)))
    }

    async fn stop(&self, lab: &LabIdentity) -> Result<StopProgress, ProvisionError> {
        self.lock().remove(&lab.uid);
        Ok(StopProgress::Gone)
    }

    async fn list(&self) -> Result<Vec<LabIdentity>, ProvisionError> {
        let mut listed: Vec<_> = self.lock().values().map(|simulation| simulation.lab.clone()).collect();
        listed.sort_unstable();
        Ok(listed)
    }
}

/// The same for the same seed, uid and attempt.
fn fate(template: &SimulatedTemplate, uid: &str, attempt: u32) -> Fate {
    if attempt < template.fail_first {
        return Fate::Fails;
    }
    let random = SeededRandom::new(template.seed ^ hash(uid).wrapping_add(u64::from(attempt)));
    if random.unit() < template.stuck_rate {
        Fate::Hangs
    } else if random.unit() < template.failure_rate {
        Fate::Fails
    } else {
        Fate::Works
    }
}

/// FNV-1a: the same in every process and version, unlike the standard library's.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use roa_core::{HumanDuration, ManualClock, Timestamp};

    use super::*;

    fn clock() -> ManualClock {
        ManualClock::new(Timestamp::from_unix_seconds(0).unwrap())
    }

    fn request(uid: &str, attempt: u32, template: &SimulatedTemplate) -> ProvisionRequest {
        ProvisionRequest {
            lab: LabIdentity { uid: uid.into(), namespace: "labs".into(), name: uid.into() },
            process: None,
            simulated: Some(template.clone()),
            environment: std::collections::BTreeMap::new(),
            attempt,
        }
    }

    fn seconds(seconds: u64) -> HumanDuration {
        HumanDuration(Duration::from_secs(seconds))
    }

    #[tokio::test]
    async fn a_lab_takes_its_time_and_then_answers() {
        let clock = clock();
        let labs = SimulatedProvisioner::new(Arc::new(clock.clone()), 10);
        let request =
            request("u-1", 0, &SimulatedTemplate { provision_time: seconds(5), ..SimulatedTemplate::default() });
        assert_eq!(labs.observe(&request).await.unwrap(), Observation::Absent);
        labs.start(&request).await.unwrap();
        clock.advance(Duration::from_secs(4));
        labs.start(&request).await.unwrap();
        assert_eq!(labs.observe(&request).await.unwrap(), Observation::Starting);
        clock.advance(Duration::from_secs(1));
        let ready = Observation::Ready { endpoint: "simulated://u-1".into() };
        assert_eq!(labs.observe(&request).await.unwrap(), ready, "the second start began nothing anew");
        assert_eq!(labs.list().await.unwrap(), std::slice::from_ref(&request.lab));
        assert_eq!(labs.stop(&request.lab).await.unwrap(), StopProgress::Gone);
        assert_eq!(labs.stop(&request.lab).await.unwrap(), StopProgress::Gone);
        assert_eq!(labs.observe(&request).await.unwrap(), Observation::Absent);
    }

    #[tokio::test]
    async fn what_has_ended_is_begun_anew() {
        let labs = SimulatedProvisioner::new(Arc::new(clock()), 10);
        let template = SimulatedTemplate { provision_time: seconds(0), fail_first: 2, ..SimulatedTemplate::default() };
        for attempt in 0..2 {
            let request = request("u-1", attempt, &template);
            labs.start(&request).await.unwrap();
            let Observation::Exited { code: Some(1), message, .. } = labs.observe(&request).await.unwrap() else {
                panic!("attempt {attempt} should have failed");
            };
            assert_eq!(message, format!("simulated failure of attempt {}", attempt + 1));
        }
        let third = request("u-1", 2, &template);
        labs.start(&third).await.unwrap();
        assert!(matches!(labs.observe(&third).await.unwrap(), Observation::Ready { .. }));
        assert!(labs.kill("u-1") && !labs.kill("u-2"));
        assert!(matches!(labs.observe(&third).await.unwrap(), Observation::Exited { signal: Some(SIGKILL), .. }));
    }

    #[tokio::test]
    async fn a_lab_that_hangs_never_answers() {
        let clock = clock();
        let labs = SimulatedProvisioner::new(Arc::new(clock.clone()), 10);
        let request = request("u-1", 0, &SimulatedTemplate { stuck_rate: 1.0, ..SimulatedTemplate::default() });
        labs.start(&request).await.unwrap();
        clock.advance(Duration::from_secs(1_000_000));
        assert_eq!(labs.observe(&request).await.unwrap(), Observation::Starting);
    }

    #[tokio::test]
    async fn their_number_is_bounded() {
        let labs = SimulatedProvisioner::new(Arc::new(clock()), 1);
        let template = SimulatedTemplate::default();
        labs.start(&request("u-1", 0, &template)).await.unwrap();
        labs.start(&request("u-1", 0, &template)).await.unwrap();
        let refused = labs.start(&request("u-2", 0, &template)).await.unwrap_err();
        assert_eq!((refused.reason(), refused.is_retryable()), ("AtCapacity", true));
    }

    #[test]
    fn fates_depend_on_seed_uid_and_attempt_alone_and_keep_their_rates() {
        let template = SimulatedTemplate { failure_rate: 0.5, stuck_rate: 0.2, ..SimulatedTemplate::default() };
        let fates: Vec<Fate> = (0..2000).map(|uid| fate(&template, &format!("u-{uid}"), 0)).collect();
        let again: Vec<Fate> = (0..2000).map(|uid| fate(&template, &format!("u-{uid}"), 0)).collect();
        assert_eq!(fates, again);
        let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
        assert!((340..460).contains(&count(Fate::Hangs)), "{} hang, expected about 400", count(Fate::Hangs));
        assert!((720..880).contains(&count(Fate::Fails)), "{} fail, expected about 800", count(Fate::Fails));
        let other_seed = SimulatedTemplate { seed: 1, ..template };
        assert!((0..2000).any(|uid| fate(&other_seed, &format!("u-{uid}"), 0) != fates[uid]));
        assert!((0..50).any(|attempt| fate(&other_seed, "u-1", attempt) != fate(&other_seed, "u-1", 0)));
    }
}
