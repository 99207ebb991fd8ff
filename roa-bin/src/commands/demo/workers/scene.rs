//! [`Scene`]: what the watches showed of the pool, its workers and the labs.

use std::collections::BTreeMap;

use roa_core::{ChangeKind, DynamicObject};

/// A worker, as it was last seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SeenWorker {
    pub(super) phase: String,
    pub(super) labs: u64,
}

/// A lab, as it was last seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SeenLab {
    pub(super) state: String,
    pub(super) message: String,
    pub(super) worker: String,
}

/// What the watches showed.
#[derive(Debug, Default)]
pub(super) struct Scene {
    pub(super) workers: BTreeMap<String, SeenWorker>,
    pub(super) labs: BTreeMap<String, SeenLab>,
    /// Whether the pool is there; `None` before it was.
    pub(super) pool: Option<bool>,
    pub(super) pool_message: String,
    /// The most workers that there were at a time.
    pub(super) most: usize,
    /// The workers that drained without labs, and are gone.
    pub(super) drained: Vec<String>,
    /// A lab that waited for room, in words.
    pub(super) waited: Option<String>,
    /// Whether the pool is on its way out: then its workers may drain with labs on them.
    pub(super) is_closing: bool,
    /// What must not happen, and did.
    pub(super) broken: Vec<String>,
}

fn text(object: &DynamicObject, path: &str) -> String {
    object.field(path).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Scene {
    /// Takes a change of a worker; gives what to say of it.
    pub(super) fn worker(&mut self, change: ChangeKind, object: &DynamicObject) -> Option<String> {
        let name = object.metadata.name.clone();
        if change == ChangeKind::Deleted {
            let last = self.workers.remove(&name).unwrap_or_default();
            self.drained.extend((last.phase == "Terminated" && last.labs == 0).then_some(name));
            return Some("gone".to_owned());
        }
        let labs = object.field("status.allocated.labs").and_then(|labs| labs.as_u64()).unwrap_or(0);
        let now = SeenWorker { phase: text(object, "status.phase"), labs };
        self.check(&name, &now);
        let before = self.workers.insert(name, now.clone());
        self.most = self.most.max(self.workers.len());
        match before {
            None => Some("comes".to_owned()),
            Some(before) if before.phase != now.phase => {
                let from = if before.phase.is_empty() { String::new() } else { format!("{} -> ", before.phase) };
                Some(format!("{from}{}: {}", now.phase, text(object, "status.message")))
            }
            Some(before) if before.labs != now.labs => {
                let cpu = object.field("status.utilisation.cpu").and_then(|cpu| cpu.as_u64()).unwrap_or(0);
                Some(format!("has {} labs, {cpu}% of its processors are given away", now.labs))
            }
            Some(_) => None,
        }
    }

    /// The rules that hold at every moment.
    fn check(&mut self, name: &str, now: &SeenWorker) {
        if now.phase == "Draining" && now.labs > 0 && !self.is_closing {
            self.broken.push(format!("worker {name} drains with {} labs on it", now.labs));
        }
        if now.labs > 2 {
            self.broken.push(format!("worker {name} has {} labs, and room for 2", now.labs));
        }
    }

    /// Takes a change of a lab; gives what to say of it.
    pub(super) fn lab(&mut self, change: ChangeKind, object: &DynamicObject) -> Option<String> {
        let name = object.metadata.name.clone();
        if change == ChangeKind::Deleted {
            self.labs.remove(&name);
            return Some("gone".to_owned());
        }
        let (state, message) = (text(object, "status.state"), text(object, "status.message"));
        if message.contains("insufficient cpu") {
            self.waited.get_or_insert_with(|| message.clone());
        }
        let now = SeenLab { state, message, worker: text(object, "status.workerRef") };
        let before = self.labs.insert(name, now.clone()).unwrap_or_default();
        if before.state == now.state && before.message == now.message || now.state.is_empty() {
            return None;
        }
        let from = if before.state == now.state || before.state.is_empty() {
            String::new()
        } else {
            format!("{} -> ", before.state)
        };
        Some(format!("{from}{}: {}", now.state, now.message))
    }

    /// Takes a change of the pool; gives what to say of it.
    pub(super) fn pool(&mut self, change: ChangeKind, object: &DynamicObject) -> Option<String> {
        self.pool = Some(change != ChangeKind::Deleted);
        self.is_closing |= object.metadata.is_deleting();
        match change {
            ChangeKind::Added => Some("declared".to_owned()),
            ChangeKind::Deleted => Some("gone".to_owned()),
            ChangeKind::Modified => {
                let message = text(object, "status.message");
                let is_news = message != self.pool_message && !message.is_empty();
                self.pool_message.clone_from(&message);
                is_news.then_some(message)
            }
        }
    }

    pub(super) fn ready_workers(&self) -> usize {
        self.workers.values().filter(|worker| worker.phase == "Ready").count()
    }

    pub(super) fn ready_labs(&self) -> usize {
        self.labs.values().filter(|lab| lab.state == "ready").count()
    }
}
