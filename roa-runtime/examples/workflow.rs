//! A workflow of steps that depend on each other: each is a part of the workflow, begun when those that it needs are done;
//! three run side by side, one of them fails twice and is tried again.
//!
//! `cargo run -p roa-runtime --example workflow`

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    Action, CancellationSource, Context, Controller, KindRegistry, Object, ReconcileError, ResourceStore, Scope, Spec,
    SystemRandom,
};
use roa_runtime::{
    BackoffPolicy, Clocks, ControllerConfig, Filter, Manager, ManagerConfig, Mode, QueueConfig, SystemClock,
};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Workflow {
    steps: BTreeMap<String, Step>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Step {
    needs: Vec<String>,
    /// How often it fails before it succeeds.
    flaws: u32,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Progress {
    done: bool,
}

impl Spec for Workflow {
    type Status = Progress;
    const GROUP: &'static str = "example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Workflow";
    const PLURAL: &'static str = "workflows";
    const SCOPE: Scope = Scope::Namespaced;
}

impl Spec for Step {
    type Status = Progress;
    const GROUP: &'static str = "example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Step";
    const PLURAL: &'static str = "steps";
    const SCOPE: Scope = Scope::Namespaced;
}

/// Begins each step when its time has come.
struct Conductor {
    finished: CancellationSource,
}

#[async_trait]
impl Controller for Conductor {
    type Resource = Object<Workflow>;

    fn name(&self) -> &'static str {
        "conductor"
    }

    async fn reconcile(&self, workflow: Arc<Object<Workflow>>, cx: &Context) -> Result<Action, ReconcileError> {
        let api = cx.api::<Step>()?;
        let part = |title: &str, step: &Step| Object::child_of(&workflow, title, step.clone());
        let mut done = Vec::new();
        for (title, step) in &workflow.spec.steps {
            let key = api.key("default", &part(title, step).metadata.name)?;
            done.extend(api.find(&key).await?.filter(|step| step.status.done).map(|_| title));
        }
        for (title, step) in &workflow.spec.steps {
            if step.needs.iter().all(|needed| done.contains(&needed)) {
                api.create_child(&part(title, step)).await?; // however often this runs, there is one
            }
        }
        if done.len() == workflow.spec.steps.len() {
            let mut next = (*workflow).clone();
            next.status.done = true;
            cx.api::<Workflow>()?.update_status(&next).await?;
            self.finished.cancel();
        }
        Ok(Action::Done) // the next step that is done leads to the next call
    }
}

/// Does a step; what fails is tried again by the queue, later each time.
struct Performer;

#[async_trait]
impl Controller for Performer {
    type Resource = Object<Step>;

    fn name(&self) -> &'static str {
        "performer"
    }

    async fn reconcile(&self, step: Arc<Object<Step>>, cx: &Context) -> Result<Action, ReconcileError> {
        if step.status.done {
            return Ok(Action::Done);
        }
        if cx.failures() < step.spec.flaws {
            say(&format!("{} fails", step.metadata.name));
            return Err(ReconcileError::Transient { reason: "Flawed", message: "as planned".into() });
        }
        say(&format!("{} is done", step.metadata.name));
        let mut next = (*step).clone();
        next.status.done = true;
        cx.api::<Step>()?.update_status(&next).await?;
        Ok(Action::Done)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
    let kinds = Arc::new(KindRegistry::new().with::<Workflow>().with::<Step>());
    let resources = ResourceStore::new(store.clone(), kinds, clock.clone(), random, "main");
    let mut manager =
        Manager::new(store, resources.clone(), Clocks::same(clock), ManagerConfig::new(Mode::Single)).await?;
    let backoff = BackoffPolicy { base: Duration::from_millis(20), ..BackoffPolicy::default() };
    let config = ControllerConfig { queue: QueueConfig { backoff, ..QueueConfig::default() }, ..Default::default() };
    let finished = CancellationSource::new();
    let conductor = Conductor { finished: finished.clone() };
    manager.controller::<Workflow, _>(conductor, config.clone()).owns::<Step>(Filter::all())?.add()?;
    manager.add_controller::<Step, _>(Performer, config)?;

    let step = |title: &str, needs: &[&str], flaws| {
        (title.to_owned(), Step { needs: needs.iter().map(ToString::to_string).collect(), flaws })
    };
    let tests = ["linux", "mac", "windows"];
    let mut steps = BTreeMap::from([step("build", &[], 0), step("release", &tests, 0)]);
    steps.extend(tests.map(|test| step(test, &["build"], if test == "mac" { 2 } else { 0 })));
    resources.api::<Workflow>()?.create(&Object::new("default", "v1", Workflow { steps })).await?;
    manager.run(finished.token(), || ()).await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what the controllers do")]
fn say(text: &str) {
    println!("{text}");
}
