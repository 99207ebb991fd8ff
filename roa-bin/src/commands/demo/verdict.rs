//! [`Ending`]: how a lab should end, and how it did.

use std::collections::BTreeMap;

use roa_core::{ChangeKind, DynamicObject};

/// What was seen of one lab.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    /// Its states, in order, each once in a row.
    pub(super) states: Vec<String>,
    /// The greatest number of retries that it said.
    pub(super) retries: u64,
    /// Its last message.
    pub(super) message: String,
    /// Its endpoint, when it had one.
    pub(super) endpoint: String,
    /// Whether its endpoint answered, as far as that was tried.
    pub(super) answered: bool,
    /// With which message it failed.
    pub(super) failure: String,
    /// Whether it is up now: ready, and said to be.
    up: bool,
    /// Whether it was up, and then was not, though it stayed ready.
    pub(super) down_after_up: bool,
    /// Whether it answered again after that.
    pub(super) repaired: bool,
    /// Whether it is gone.
    pub(super) gone: bool,
    /// When it was first pending and first provisioning, in seconds of the domain.
    pub(super) since: BTreeMap<String, i64>,
}

/// How a lab should end.
pub(super) struct Ending {
    /// Its name.
    pub(super) lab: &'static str,
    /// In words.
    pub(super) story: &'static str,
    /// The states that it should go through, in this order, perhaps with others in between.
    pub(super) states: &'static [&'static str],
    /// What else must hold.
    pub(super) holds: fn(&Seen) -> Result<(), String>,
}

impl Ending {
    /// What is wrong with what was seen; `Ok` if it is as it should be.
    pub(super) fn judge(&self, seen: &Seen) -> Result<(), String> {
        let mut states = seen.states.iter();
        for expected in self.states {
            if !states.any(|state| state == expected) {
                return Err(format!("went through {}, expected {}", list(&seen.states), self.states.join(", ")));
            }
        }
        if !seen.gone {
            return Err("is still there".to_owned());
        }
        (self.holds)(seen)
    }
}

fn list(states: &[String]) -> String {
    if states.is_empty() { "no state".to_owned() } else { states.join(", ") }
}

impl Seen {
    /// Takes what a watch delivered; gives the state if it is another than before.
    pub(super) fn take(&mut self, change: ChangeKind, lab: &DynamicObject) -> Option<String> {
        let text = |path: &str| lab.field(path).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        self.retries = self.retries.max(lab.field("status.retries").and_then(|value| value.as_u64()).unwrap_or(0));
        self.message = text("status.message");
        let endpoint = text("status.endpoint");
        if !endpoint.is_empty() {
            self.endpoint = endpoint;
        }
        if change == ChangeKind::Deleted {
            self.gone = true;
        }
        let state = lab.state().unwrap_or("pending").to_owned();
        if state == "failed" {
            self.failure.clone_from(&self.message);
        }
        let up = is_ready(lab);
        self.down_after_up |= self.up && !up && state == "ready";
        self.up = up;
        if self.states.last() == Some(&state) {
            return None;
        }
        if let Some(at) = lab.metadata.last_modified {
            self.since.entry(state.clone()).or_insert(at.as_unix_seconds());
        }
        self.states.push(state.clone());
        Some(state)
    }

    /// Whether it is up now.
    pub(super) const fn is_up(&self) -> bool {
        self.up
    }

    /// Whether it was ready once.
    pub(super) fn was_ready(&self) -> bool {
        self.states.iter().any(|state| state == "ready")
    }

    /// How many seconds of the domain passed between two states.
    pub(super) fn between(&self, from: &str, to: &str) -> Option<i64> {
        Some(self.since.get(to)? - self.since.get(from)?)
    }
}

/// Whether a lab is ready and its condition says so.
fn is_ready(lab: &DynamicObject) -> bool {
    let conditions = lab.field("status.conditions");
    let ready = conditions.as_ref().and_then(|conditions| conditions.as_array()).into_iter().flatten();
    let mut ready =
        ready.filter(|condition| condition["type"] == "Ready").map(|condition| condition["status"] == "True");
    lab.state() == Some("ready") && ready.next().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lab(state: &str, retries: u64) -> DynamicObject {
        let json = json!({
            "apiVersion": "g/v1", "kind": "Lab", "metadata": {"name": "a", "namespace": "n"},
            "status": {"state": state, "retries": retries}
        });
        DynamicObject::from_json(json).unwrap()
    }

    const ENDING: Ending = Ending {
        lab: "a",
        story: "",
        states: &["pending", "ready"],
        holds: |seen| (seen.retries == 2).then_some(()).ok_or_else(|| "retries".into()),
    };

    #[test]
    fn a_lab_ends_as_it_should_only_if_everything_holds() {
        let mut seen = Seen::default();
        assert!(ENDING.judge(&seen).is_err(), "nothing was seen");
        assert_eq!(seen.take(ChangeKind::Added, &lab("pending", 0)), Some("pending".into()));
        assert_eq!(seen.take(ChangeKind::Modified, &lab("pending", 2)), None);
        assert!(ENDING.judge(&seen).unwrap_err().contains("expected pending, ready"));
        seen.take(ChangeKind::Modified, &lab("ready", 0));
        assert!(ENDING.judge(&seen).unwrap_err().contains("still there"));
        seen.take(ChangeKind::Deleted, &lab("deleted", 0));
        assert_eq!(ENDING.judge(&seen), Ok(()));
        seen.retries = 1;
        assert!(ENDING.judge(&seen).is_err());
    }
}
