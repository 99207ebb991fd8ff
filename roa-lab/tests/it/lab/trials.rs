//! Labs tried with all that can go wrong between two operations on the store: crashes, lost answers, conflicts, caches that
//! are behind, a store that is slow, a change feed that ends. Whatever it is, each lab that is wanted comes up, begun
//! once, and nothing stays of the one that goes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use roa_core::lifecycle::DeleteOptions;
use roa_core::{KeyOf, KindRegistry, Object, Result};
use roa_lab::provision::{LabIdentity, Observation, ProvisionError, ProvisionRequest, Provisioner, StopProgress};
use roa_lab::{
    FINALIZER, Lab, LabController, LabInstance, LabReconciler, LabSettings, LabState, LabTemplate, Provisioners, kinds,
};
use roa_runtime::testing::{Fault, Trial, World};
use roa_runtime::{ControllerConfig, Filter, Manager, ReconcilerConfig};
use serde_json::json;

use super::world::{NAMESPACE, seconds};

/// What there is outside of the store: it outlives the process.
#[derive(Debug, Clone, Default)]
struct Yard(Arc<Mutex<BTreeMap<String, Place>>>);

#[derive(Debug)]
struct Place {
    lab: LabIdentity,
    begun: usize,
    looks: usize,
    there: bool,
}

impl Yard {
    fn places(&self) -> MutexGuard<'_, BTreeMap<String, Place>> {
        self.0.lock().unwrap()
    }

    fn begin(&self, lab: &LabIdentity) {
        let mut places = self.places();
        let fresh = || Place { lab: lab.clone(), begun: 0, looks: 0, there: false };
        let place = places.entry(lab.uid.clone()).or_insert_with(fresh);
        if !place.there {
            place.there = true;
            place.begun += 1;
        }
    }
}

/// A lab answers when it was looked at twice.
#[async_trait]
impl Provisioner for Yard {
    fn name(&self) -> &'static str {
        "yard"
    }

    async fn start(&self, request: &ProvisionRequest) -> Result<(), ProvisionError> {
        self.begin(&request.lab);
        Ok(())
    }

    async fn observe(&self, request: &ProvisionRequest) -> Result<Observation, ProvisionError> {
        let mut places = self.places();
        let Some(place) = places.get_mut(&request.lab.uid).filter(|place| place.there) else {
            return Ok(Observation::Absent);
        };
        place.looks += 1;
        let endpoint = format!("yard://{}", request.lab.uid);
        Ok(if place.looks < 2 { Observation::Starting } else { Observation::Ready { endpoint } })
    }

    async fn stop(&self, lab: &LabIdentity) -> Result<StopProgress, ProvisionError> {
        if let Some(place) = self.places().get_mut(&lab.uid) {
            place.there = false;
        }
        Ok(StopProgress::Gone)
    }

    async fn list(&self) -> Result<Vec<LabIdentity>, ProvisionError> {
        Ok(self.places().values().filter(|place| place.there).map(|place| place.lab.clone()).collect())
    }
}

fn settings(yard: &Yard) -> LabSettings {
    LabSettings::new("node-1", Provisioners::new().with(Arc::new(yard.clone())))
}

fn lab(name: &str) -> Lab {
    let spec = json!({"template": "course", "studentEmail": "student@example.com", "duration": "8h"});
    Object::new(NAMESPACE, name, serde_json::from_value(spec).unwrap())
}

/// Two labs that are wanted, and one that runs and was asked to go.
async fn given(world: &World<Yard>) -> Result<()> {
    let course = serde_json::from_value(json!({"provisioner": "yard"})).unwrap();
    world.resources.api::<LabTemplate>()?.create(&Object::new(NAMESPACE, "course", course)).await?;
    let labs = world.resources.api::<LabInstance>()?;
    for name in ["a", "b"] {
        labs.create(&lab(name)).await?;
    }
    let mut leaving = lab("leaving");
    leaving.metadata.finalizers.push(FINALIZER.to_owned());
    labs.create(&leaving).await?;
    labs.delete(NAMESPACE, "leaving", &DeleteOptions::default()).await?;
    Ok(())
}

/// Both labs are ready, begun once, and nothing else is there.
async fn done(world: &World<Yard>) -> Result<bool, String> {
    let twice = world.outside.places().values().any(|place| place.begun > 1);
    if twice {
        return Err(format!("a lab was begun twice: {:?}", world.outside.places()));
    }
    let labs = world.resources.api::<LabInstance>().map_err(|error| error.to_string())?;
    let mut uids = Vec::new();
    for name in ["a", "b"] {
        let lab = labs.get(NAMESPACE, name).await.map_err(|error| error.to_string())?;
        if lab.status.state() != LabState::Ready {
            return Ok(false);
        }
        uids.push(lab.metadata.uid);
    }
    let outside: Vec<String> =
        world.outside.places().iter().filter(|(_, place)| place.there).map(|(uid, _)| uid.clone()).collect();
    uids.sort();
    Ok(labs.get(NAMESPACE, "leaving").await.is_err() && outside == uids)
}

/// As the program wires it.
fn wire(manager: &mut Manager, controller: LabController, config: ControllerConfig, yard: &Arc<Yard>) -> Result<()> {
    let template = |lab: &Lab| KeyOf::<LabTemplate>::new(&lab.metadata.namespace, &lab.spec.template);
    let builder = manager.controller::<LabInstance, _>(controller, config);
    builder.refers_to::<LabTemplate, _>(Filter::specs(), template)?.add()?;
    manager.add_reconciler::<LabInstance, _>(LabReconciler::new(settings(yard)), ReconcilerConfig::default())
}

macro_rules! trial {
    ($given:expr) => {
        Trial::new(
            kinds(KindRegistry::new()),
            Yard::default,
            |yard: &Arc<Yard>| LabController::new(settings(yard)),
            $given,
            done,
        )
        .wired(wire)
    };
}

#[test]
fn lesson_50_labs_come_up_and_go_whenever_the_process_ends() {
    let report = trial!(given).survives_crashes().unwrap();
    assert!(report.restarts >= 30, "{report:?}");
}

#[test]
fn labs_come_up_and_go_whatever_goes_wrong_at_one_operation() {
    let report = trial!(given).survives_faults().unwrap();
    assert!(report.runs > 200, "{report:?}");
}

/// The controller is called when the template comes, and not when it would look again: that is long after. For the same
/// reason nobody sees the labs become ready here; what is looked at is that they are begun.
#[test]
fn labs_that_wait_for_their_template_go_on_when_it_appears() {
    let without = async |world: &World<Yard>| {
        given(world).await?;
        let templates = world.resources.api::<LabTemplate>()?;
        templates.delete(NAMESPACE, "course", &DeleteOptions::default()).await.map(|_| ())
    };
    let brought = Mutex::new(false);
    let begun = async |world: &World<Yard>| {
        let labs = world.resources.api::<LabInstance>().map_err(|error| error.to_string())?;
        let mut all_begun = true;
        for name in ["a", "b"] {
            let status = labs.get(NAMESPACE, name).await.map_err(|error| error.to_string())?.status;
            all_begun &= status.state() == LabState::Provisioning && status.provisioning_started_at.is_some();
            let waits = status.message.contains("there is no LabTemplate");
            if waits && name == "b" && !std::mem::replace(&mut *brought.lock().unwrap(), true) {
                let course = serde_json::from_value(json!({"provisioner": "yard"})).unwrap();
                let templates = world.resources.api::<LabTemplate>().map_err(|error| error.to_string())?;
                templates.create(&Object::new(NAMESPACE, "course", course)).await.map_err(|error| error.to_string())?;
            }
        }
        Ok(all_begun)
    };
    let controller = |yard: &Arc<Yard>| {
        let mut settings = settings(yard);
        settings.policy.poll = seconds(100_000);
        LabController::new(settings)
    };
    let trial = Trial::new(kinds(KindRegistry::new()), Yard::default, controller, without, begun).wired(wire);
    let run = trial.quiet_for(5).run(Fault::None).unwrap();
    assert!(*brought.lock().unwrap());
    assert!(run.took < seconds(60), "{:?}", run.took);
}
