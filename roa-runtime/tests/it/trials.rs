//! The kit for authors of controllers, used on one: it makes a resource outside of the store for each thing, takes it away
//! again, and says which one it is. And on others that are wrong, which it must find.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::lifecycle::DeleteOptions;
use roa_core::{Action, Context, Controller, KindRegistry, Object, ReconcileError, Result};
use roa_runtime::ControllerConfig;
use roa_runtime::testing::{Fault, Trial, World};

use crate::support::{Thing, thing};

/// A cloud of machines, each with the token that it was asked for by.
#[derive(Debug, Default)]
struct Cloud {
    machines: Mutex<BTreeMap<String, u32>>,
    made: Mutex<usize>,
}

/// In which way the controller is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Asks for a machine under a token of its own: a crash before the answer is noted leaves one behind.
    NewToken,
    /// Notes the machine before it is there.
    NotesFirst,
    /// Writes with each call.
    Restless,
    /// Gives up with the first error.
    Resigns,
}

struct Machinist {
    cloud: Arc<Cloud>,
    flaw: Flaw,
}

impl Machinist {
    async fn make(&self, thing: &Object<Thing>) -> Result<(), ReconcileError> {
        tokio::task::yield_now().await;
        let mut made = self.cloud.made.lock().unwrap();
        let token = match self.flaw {
            Flaw::NewToken => format!("{}.{made}", thing.metadata.uid),
            _ => thing.metadata.uid.clone(),
        };
        let mut machines = self.cloud.machines.lock().unwrap();
        *made += usize::from(!machines.contains_key(&token));
        machines.insert(token, thing.spec.size);
        Ok(())
    }

    async fn note(&self, thing: &Object<Thing>, cx: &Context) -> Result<(), ReconcileError> {
        let mut next = thing.clone();
        next.status.observed_generation = thing.metadata.generation;
        next.status.note = match self.flaw {
            Flaw::Restless => format!("{} at {}", thing.spec.size, cx.now()),
            _ => thing.spec.size.to_string(),
        };
        let written = cx.api::<Thing>()?.update_status(&next).await;
        match written {
            Err(_) if self.flaw == Flaw::Resigns => Ok(()),
            outcome => outcome.map(|_| ()).map_err(Into::into),
        }
    }
}

#[async_trait]
impl Controller for Machinist {
    type Resource = Object<Thing>;

    fn name(&self) -> &'static str {
        "machinist"
    }

    fn finalizer(&self) -> Option<&str> {
        Some("test.example.com/machine")
    }

    async fn reconcile(&self, thing: Arc<Object<Thing>>, cx: &Context) -> Result<Action, ReconcileError> {
        if thing.status.observed_generation == thing.metadata.generation {
            if self.flaw == Flaw::Restless {
                self.note(&thing, cx).await?;
                return Ok(Action::RequeueAfter(Duration::from_secs(60)));
            }
            return Ok(Action::Done);
        }
        if self.flaw == Flaw::NotesFirst {
            self.note(&thing, cx).await?;
            tokio::task::yield_now().await;
            // What it has to do after that is lost with the process.
            cx.api::<Thing>()?.get(&thing.metadata.namespace, &thing.metadata.name).await?;
            self.make(&thing).await?;
        } else {
            self.make(&thing).await?;
            self.note(&thing, cx).await?;
        }
        Ok(Action::Done)
    }

    async fn finalize(&self, thing: Arc<Object<Thing>>, _cx: &Context) -> Result<Action, ReconcileError> {
        let mut machines = self.cloud.machines.lock().unwrap();
        machines.retain(|token, _| !token.starts_with(&thing.metadata.uid));
        Ok(Action::Done)
    }
}

/// Three things, one of which is resized and one deleted before the controller begins.
async fn given(world: &World<Cloud>) -> Result<()> {
    let api = world.resources.api::<Thing>()?;
    for (name, size) in [("a", 1), ("b", 2)] {
        api.create(&thing(name, size)).await?;
    }
    api.patch("test", "b", |thing| thing.spec.size = 3).await?;
    let mut leaving = thing("leaving", 9);
    leaving.metadata.finalizers.push("test.example.com/machine".into());
    let leaving = api.create(&leaving).await?;
    world.outside.machines.lock().unwrap().insert(leaving.metadata.uid, 9);
    api.delete("test", "leaving", &DeleteOptions::default()).await?;
    Ok(())
}

/// Each thing has its one machine, and says so; nothing else is there.
async fn done(world: &World<Cloud>) -> Result<bool, String> {
    let api = world.resources.api::<Thing>().map_err(|error| error.to_string())?;
    let mut owners = Vec::new();
    for (name, size) in [("a", 1), ("b", 3)] {
        let thing = api.get("test", name).await.map_err(|error| error.to_string())?;
        if !thing.status.note.starts_with(&size.to_string()) {
            return Ok(false);
        }
        owners.push((thing.metadata.uid, size));
    }
    if api.get("test", "leaving").await.is_ok() {
        return Ok(false);
    }
    let machines = world.outside.machines.lock().unwrap().clone();
    let has_one = |(uid, size): &(String, u32)| {
        machines.iter().filter(|(token, machine)| token.starts_with(uid) && *machine == size).count() == 1
    };
    if machines.len() == owners.len() && owners.iter().all(has_one) {
        return Ok(true);
    }
    Err(format!("{} machines for {} things", machines.len(), owners.len()))
}

macro_rules! trial {
    ($flaw:expr) => {
        Trial::new(
            KindRegistry::new().with::<Thing>(),
            Cloud::default,
            |cloud: &Arc<Cloud>| Machinist { cloud: Arc::clone(cloud), flaw: $flaw },
            given,
            done,
        )
    };
}

#[test]
fn a_controller_that_is_right_survives_a_crash_between_any_two_operations() {
    let report = trial!(Flaw::None).survives_crashes().unwrap();
    assert!(report.restarts >= 20 && report.runs > report.restarts, "{report:?}");
}

#[test]
fn a_controller_that_is_right_survives_all_that_can_go_wrong_at_one_operation() {
    let report = trial!(Flaw::None).survives_faults().unwrap();
    assert!(report.runs > 100, "{report:?}");
    let transactional = ControllerConfig { transactional: true, ..ControllerConfig::default() };
    trial!(Flaw::None).driven(transactional).survives_faults().unwrap();
}

#[test]
fn a_run_takes_simulated_time_and_tells_what_the_process_did() {
    let run = trial!(Flaw::None).run(Fault::Stale(Duration::from_secs(3_600))).unwrap();
    assert!(run.took >= Duration::from_secs(3_600), "{:?}", run.took);
    assert!(run.operations.iter().any(|what| what == "commit by machinist: put things.test.example.com/test/a"));
    assert!(!run.restarted);
}

#[test]
fn an_effect_that_is_not_recognised_is_found_by_a_crash_before_it_is_noted() {
    let trial = trial!(Flaw::NewToken);
    trial.run(Fault::None).unwrap();
    let failure = trial.survives_crashes().unwrap_err();
    assert!(failure.reason.ends_with("machines for 2 things"), "{failure}");
    let again = trial.run(failure.fault).unwrap_err();
    assert_eq!((again.reason, again.operations), (failure.reason, failure.operations), "the same again");
}

#[test]
fn what_is_noted_before_it_is_done_is_found() {
    let trial = trial!(Flaw::NotesFirst);
    let failure = trial.survives_crashes().unwrap_err();
    assert!(failure.reason.contains("machines for 2 things"), "{failure}");
}

#[test]
fn a_controller_that_writes_without_need_is_found_without_any_fault() {
    let failure = trial!(Flaw::Restless).run(Fault::None).unwrap_err();
    assert_eq!(failure.reason, "it was done, and yet the controller went on writing");
}

#[test]
fn a_controller_that_resigns_is_found_by_a_conflict() {
    let trial = trial!(Flaw::Resigns).max_steps(100);
    trial.run(Fault::None).unwrap();
    let failure = trial.survives_faults().unwrap_err();
    assert!(failure.reason.contains("nobody"), "{failure}");
}
