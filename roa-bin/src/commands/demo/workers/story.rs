//! [`Story`]: takes one step after the other, and prints what the watches deliver meanwhile.

use anyhow::Context as _;
use roa_core::lifecycle::{DeleteOptions, FieldValidation};
use roa_core::{ChangeKind, DynamicObject, Error, Event, ResourceStore, Severity, Start};
use roa_runtime::{HubItem, HubWatch, Selection, WatchHub};
use serde_json::json;
use tokio::sync::mpsc;

use super::scene::Scene;
use super::steps::{Act, STEPS};
use crate::commands::demo::narrator::{Actor, Narrator, print, print_table};
use crate::commands::demo::story::actor;
use crate::engine::Engine;

const NAMESPACE: &str = "student-labs";
const POOL: &str = "classroom";

/// The kinds that are watched.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Pool,
    Worker,
    Lab,
}

/// The story while it is told.
pub(super) struct Story {
    resources: ResourceStore,
    pools: HubWatch,
    workers: HubWatch,
    labs: HubWatch,
    events: mpsc::Receiver<Event>,
    narrator: Narrator,
    scene: Scene,
    /// For each step that happened, after how many seconds.
    done: Vec<f64>,
}

impl Story {
    /// Begins to watch, before there is anything to see.
    pub(super) async fn begin(
        engine: &Engine,
        events: mpsc::Receiver<Event>,
        narrator: Narrator,
    ) -> anyhow::Result<Self> {
        let resources = engine.resources().clone().writing_as("demo");
        let pools = watch(engine.hub(), &resources, "labworkerpools").await?;
        let workers = watch(engine.hub(), &resources, "labworkers").await?;
        let labs = watch(engine.hub(), &resources, "labinstances").await?;
        Ok(Self { resources, pools, workers, labs, events, narrator, scene: Scene::default(), done: Vec::new() })
    }

    /// Takes all steps.
    pub(super) async fn tell(&mut self) -> anyhow::Result<()> {
        for (number, step) in STEPS.iter().enumerate() {
            self.narrator.say(Actor::Demo, "", &format!("{}. {}", number + 1, step.story));
            self.act(step.act).await?;
            while !(step.happened)(&self.scene) {
                self.look().await?;
            }
            self.done.push(self.narrator.elapsed().as_secs_f64());
        }
        Ok(())
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let (kind, item) = tokio::select! {
            item = self.pools.next() => (Kind::Pool, item),
            item = self.workers.next() => (Kind::Worker, item),
            item = self.labs.next() => (Kind::Lab, item),
            Some(event) = self.events.recv() => {
                self.show_event(&event);
                return Ok(());
            }
        };
        match item {
            Some(Ok(HubItem::Events(slice))) => {
                for event in slice.events() {
                    let object = event.entry.object().map_err(Clone::clone)?.to_dynamic()?;
                    self.show(kind, event.change, &object, &event.entry.writer);
                }
                Ok(())
            }
            Some(Ok(_)) => Ok(()),
            Some(Err(end)) => Err(end).context("failed to watch"),
            None => anyhow::bail!("the watch ended without a reason"),
        }
    }

    fn show(&mut self, kind: Kind, change: ChangeKind, object: &DynamicObject, writer: &str) {
        let said = match kind {
            Kind::Pool => self.scene.pool(change, object),
            Kind::Worker => self.scene.worker(change, object),
            Kind::Lab => self.scene.lab(change, object),
        };
        let Some(text) = said else { return };
        let actor = match change {
            ChangeKind::Modified => actor(writer),
            ChangeKind::Added | ChangeKind::Deleted => Actor::Watcher,
        };
        self.narrator.say(actor, &object.metadata.name, &text);
    }

    fn show_event(&self, event: &Event) {
        // What else happened is said by the objects themselves.
        if event.severity == Severity::Warning || event.reason.starts_with("Scaled") {
            let text = format!("{}: {}", event.reason, event.message);
            self.narrator.say(actor(&event.component), event.object.name(), &text);
        }
    }

    async fn act(&self, act: Act) -> anyhow::Result<()> {
        match act {
            Act::Nothing => {}
            Act::Create(names) => {
                for name in names {
                    self.create(name).await?;
                }
            }
            Act::Delete(names) => {
                for name in names {
                    self.delete("labinstances", name).await?;
                }
            }
            Act::Close => self.delete("labworkerpools", POOL).await?,
        }
        Ok(())
    }

    async fn create(&self, name: &str) -> anyhow::Result<()> {
        let lab = json!({
            "apiVersion": "lab.neuroglia.com/v1", "kind": "LabInstance",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"template": "exercise", "studentEmail": format!("{name}@example.com"), "duration": "8h"},
        });
        self.resources.create(DynamicObject::from_json(lab)?, FieldValidation::Strict).await?;
        self.narrator.say(Actor::Demo, name, "wants a lab");
        Ok(())
    }

    async fn delete(&self, kind: &str, name: &str) -> anyhow::Result<()> {
        let key = self.resources.kinds().by_name(kind)?.key(NAMESPACE, name)?;
        match self.resources.delete(&key, &DeleteOptions::default()).await {
            Ok(_) => self.narrator.say(Actor::Demo, name, "is deleted"),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Prints which steps happened, and fails unless all did and no rule was broken.
    pub(super) fn judge(&self) -> anyhow::Result<()> {
        let mut rows = vec![["STEP", "VERDICT", "AFTER"].map(str::to_owned).to_vec()];
        for (number, step) in STEPS.iter().enumerate() {
            let (verdict, after) = match self.done.get(number) {
                Some(seconds) => ("ok", format!("{seconds:.1} s")),
                None => ("DID NOT HAPPEN", String::new()),
            };
            rows.push(vec![step.story.to_owned(), verdict.to_owned(), after]);
        }
        print("");
        print_table(&rows);
        print("");
        if let Some(waited) = &self.scene.waited {
            print(&format!("a lab waited: {waited}"));
        }
        let missing = STEPS.len() - self.done.len();
        anyhow::ensure!(missing == 0, "{missing} of {} steps did not happen", STEPS.len());
        anyhow::ensure!(self.scene.broken.is_empty(), "a rule was broken: {}", self.scene.broken.join("; "));
        anyhow::ensure!(self.scene.most == 3, "there were {} workers at most, expected 3", self.scene.most);
        print(&format!(
            "the pool grew, drained and went as it should, in {:.1} s",
            self.narrator.elapsed().as_secs_f64()
        ));
        Ok(())
    }
}

async fn watch(hub: &WatchHub, resources: &ResourceStore, kind: &str) -> anyhow::Result<HubWatch> {
    let prefix = resources.kinds().by_name(kind)?.prefix(None)?;
    Ok(hub.watch(Selection::prefix(prefix), Start::Now).await?)
}
