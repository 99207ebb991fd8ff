//! [`Story`]: what is expected of the five labs, what a watch showed of them, and what the demo does in between.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use roa_core::lifecycle::DeleteOptions;
use roa_core::{ChangeKind, Error, Event, Key, ResourceStore, Severity, Start};
use roa_runtime::{EventSlice, HubEvent, HubItem, HubWatch, Selection};
use tokio::sync::mpsc;

use super::accident::{kill_process_of, visit};
use super::narrator::{Actor, Narrator, print, print_table};
use super::verdict::{Ending, Seen};
use crate::engine::Engine;

/// How each lab should end.
const ENDINGS: [Ending; 5] = [
    Ending {
        lab: "brief",
        story: "came up, answered, expired, was cleaned away",
        states: &["pending", "provisioning", "ready", "deleting", "deleted"],
        holds: |seen| expect(seen.answered, "its endpoint did not answer"),
    },
    Ending {
        lab: "stubborn",
        story: "failed twice, then came up",
        states: &["pending", "provisioning", "ready", "deleting", "deleted"],
        holds: |seen| expect(seen.retries == 2, &format!("{} retries, expected 2", seen.retries)),
    },
    Ending {
        lab: "stuck",
        story: "got stuck, was failed by the sweep, then cleaned away",
        states: &["provisioning", "failed", "deleting", "deleted"],
        holds: |seen| {
            expect(seen.failure.contains("timeout"), &format!("failed with {:?}, expected a timeout", seen.failure))
        },
    },
    Ending {
        lab: "fragile",
        story: "its process was killed, and it was repaired",
        states: &["provisioning", "ready", "deleting", "deleted"],
        holds: |seen| expect(seen.repaired, "was not repaired"),
    },
    Ending {
        lab: "later",
        story: "waited for its time, then came up",
        states: &["pending", "provisioning", "ready", "deleting", "deleted"],
        holds: |seen| {
            let waited = seen.between("pending", "provisioning").unwrap_or(0);
            expect(waited >= 60, &format!("waited {waited} s of its time, expected more than 60"))
        },
    },
];

fn expect(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// The story while it is told.
pub(super) struct Story {
    resources: ResourceStore,
    watch: HubWatch,
    events: mpsc::Receiver<Event>,
    narrator: Narrator,
    data_dir: PathBuf,
    seen: BTreeMap<String, Seen>,
    uids: BTreeMap<String, String>,
    killed: bool,
    dismissed: bool,
}

impl Story {
    /// Begins to watch, before there is anything to see.
    pub(super) async fn begin(
        engine: &Engine,
        events: mpsc::Receiver<Event>,
        narrator: Narrator,
        data_dir: PathBuf,
    ) -> anyhow::Result<Self> {
        let resources = engine.resources().clone().writing_as("demo");
        let labs = resources.kinds().by_name("labinstances")?.prefix(None)?;
        let watch = engine.hub().watch(Selection::prefix(labs), Start::Now).await?;
        let seen = ENDINGS.iter().map(|ending| (ending.lab.to_owned(), Seen::default())).collect();
        Ok(Self {
            resources,
            watch,
            events,
            narrator,
            data_dir,
            seen,
            uids: BTreeMap::new(),
            killed: false,
            dismissed: false,
        })
    }

    /// Prints what happens until every lab is gone.
    pub(super) async fn tell(&mut self) -> anyhow::Result<()> {
        while !self.seen.values().all(|seen| seen.gone) {
            tokio::select! {
                item = self.watch.next() => match item {
                    Some(Ok(HubItem::Events(slice))) => self.show(&slice).await?,
                    Some(Ok(_)) => {}
                    Some(Err(end)) => return Err(end).context("failed to watch the labs"),
                    None => anyhow::bail!("the watch ended without a reason"),
                },
                Some(event) = self.events.recv() => self.show_event(&event),
            }
            self.act().await?;
        }
        Ok(())
    }

    async fn show(&mut self, slice: &EventSlice) -> anyhow::Result<()> {
        for event in slice.events() {
            let lab = event.entry.object().map_err(Clone::clone)?.to_dynamic()?;
            let name = lab.metadata.name.clone();
            self.uids.insert(name.clone(), lab.metadata.uid.clone());
            let Some(seen) = self.seen.get_mut(&name) else { continue };
            let before = seen.clone();
            seen.take(event.change, &lab);
            let (visit_now, endpoint) = (seen.is_up() && !before.is_up(), seen.endpoint.clone());
            let answered = if visit_now { self.visit(&name, &endpoint).await } else { false };
            if let Some(seen) = self.seen.get_mut(&name) {
                seen.answered |= answered;
                seen.repaired |= answered && seen.down_after_up;
            }
            self.narrate(&name, &before, &event);
        }
        Ok(())
    }

    /// Prints what changed, and who wrote it.
    fn narrate(&self, name: &str, before: &Seen, event: &HubEvent<'_>) {
        let Some(now) = self.seen.get(name) else { return };
        match event.change {
            ChangeKind::Added => self.narrator.say(Actor::Watcher, name, "created"),
            ChangeKind::Deleted => self.narrator.say(Actor::Watcher, name, "gone"),
            ChangeKind::Modified => {}
        }
        let actor = actor(&event.entry.writer);
        if let (Some(to), false) = (now.states.last(), now.states == before.states || before.states.is_empty()) {
            let from = before.states.last().map_or(String::new(), |from| format!("{from} -> "));
            let why = if now.message.is_empty() { String::new() } else { format!(": {}", now.message) };
            self.narrator.say(actor, name, &format!("{from}{to}{why}"));
        } else if now.message != before.message && !now.message.is_empty() {
            self.narrator.say(actor, name, &now.message);
        }
        if now.endpoint != before.endpoint {
            self.narrator.say(actor, name, &format!("endpoint {}", now.endpoint));
        }
    }

    async fn visit(&self, name: &str, endpoint: &str) -> bool {
        if !endpoint.starts_with("http") {
            return false;
        }
        match visit(endpoint).await {
            Ok(status) => {
                self.narrator.say(Actor::Demo, name, &format!("{endpoint} answers {status}"));
                status == 200
            }
            Err(error) => {
                self.narrator.say(Actor::Demo, name, &format!("{endpoint} does not answer: {error:#}"));
                false
            }
        }
    }

    fn show_event(&self, event: &Event) {
        let mark = if event.severity == Severity::Warning { "! " } else { "" };
        let text = format!("{mark}{}: {}", event.reason, event.message);
        self.narrator.say(actor(&event.component), event.object.name(), &text);
    }

    /// The accident, when the fragile lab is up; and the end of those that would live on, when all have shown what they
    /// should.
    async fn act(&mut self) -> anyhow::Result<()> {
        if !self.killed && self.seen.get("fragile").is_some_and(|seen| seen.answered) {
            self.killed = true;
            let uid = self.uids.get("fragile").context("failed to find the fragile lab")?;
            let pid = kill_process_of(&self.data_dir, uid).await?;
            self.narrator.say(Actor::Demo, "fragile", &format!("kills process {pid}, as an accident would"));
        }
        let shown = |lab: &str, holds: fn(&Seen) -> bool| self.seen.get(lab).is_some_and(holds);
        let all_shown = shown("brief", |seen| seen.gone)
            && shown("stubborn", Seen::was_ready)
            && shown("stuck", |seen| seen.gone)
            && shown("fragile", |seen| seen.repaired)
            && shown("later", Seen::was_ready);
        if all_shown && !self.dismissed {
            self.dismissed = true;
            self.dismiss().await?;
        }
        Ok(())
    }

    async fn dismiss(&self) -> anyhow::Result<()> {
        for (name, _) in self.seen.iter().filter(|(_, seen)| !seen.gone) {
            let key = self.key(name)?;
            match self.resources.delete(&key, &DeleteOptions::default()).await {
                Ok(_) => self.narrator.say(Actor::Demo, name, "deletes it"),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn key(&self, name: &str) -> anyhow::Result<Key> {
        Ok(self.resources.kinds().by_name("labinstances")?.key("student-labs", name)?)
    }

    /// Ends what the story left behind, if it was cut short.
    pub(super) async fn clean_up(&mut self) {
        if self.seen.values().all(|seen| seen.gone) {
            return;
        }
        self.dismissed = true;
        if let Err(error) = self.dismiss().await {
            tracing::warn!(%error, "the demo's labs can't be deleted");
        }
        if let Err(error) = self.tell().await {
            tracing::warn!(%error, "the demo's labs can't be watched any more");
        }
    }

    /// Prints how each lab ended, and fails unless each did as it should.
    pub(super) fn judge(&self) -> anyhow::Result<()> {
        let mut rows = vec![["LAB", "VERDICT", "STATES", "RETRIES"].map(str::to_owned).to_vec()];
        let mut wrong = Vec::new();
        for ending in &ENDINGS {
            let seen = self.seen.get(ending.lab).cloned().unwrap_or_default();
            let verdict = match ending.judge(&seen) {
                Ok(()) => format!("ok: {}", ending.story),
                Err(reason) => {
                    wrong.push(format!("{} {reason}", ending.lab));
                    format!("FAILED: {reason}")
                }
            };
            rows.push(vec![ending.lab.to_owned(), verdict, seen.states.join(" > "), seen.retries.to_string()]);
        }
        print("");
        print_table(&rows);
        print("");
        anyhow::ensure!(
            wrong.is_empty(),
            "{} of {} labs did not end as they should: {}",
            wrong.len(),
            ENDINGS.len(),
            wrong.join("; ")
        );
        print(&format!(
            "{} labs lived and went as they should, in {:.1} s",
            ENDINGS.len(),
            self.narrator.elapsed().as_secs_f64()
        ));
        Ok(())
    }
}

/// Which part of the engine writes under this name.
pub(super) fn actor(writer: &str) -> Actor {
    match writer {
        writer if writer.contains("reconciler") => Actor::Reconciler,
        writer if writer.contains("controller") => Actor::Controller,
        _ => Actor::Demo,
    }
}
