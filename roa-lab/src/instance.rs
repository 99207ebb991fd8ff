//! [`LabInstance`]: a lab for one student.

use std::collections::BTreeMap;
use std::time::Duration;

use roa_core::{Column, Conditions, HumanDuration, Object, Scope, Spec, StateMachine, Timestamp, Violations, names};
use serde::{Deserialize, Serialize};

use crate::provision::validate_environment;
use crate::{GROUP, LabState, MACHINE, Quantity, VERSION};

/// No lab lives shorter.
const MIN_DURATION: Duration = Duration::from_secs(60);
/// No lab lives longer.
const MAX_DURATION: Duration = Duration::from_secs(8 * 3600);
/// No lab has more cpu.
const MAX_CPU: Quantity = Quantity::from_units(8);
/// How many transitions a lab's history keeps.
const MAX_HISTORY: usize = 20;

/// A lab for one student: what is desired.
///
/// ```
/// use roa_core::Spec;
/// let spec: roa_lab::LabInstance = serde_json::from_str(r#"{
///     "template": "python-basics", "studentEmail": "student@example.com", "duration": "60m",
///     "environment": { "PYTHON_VERSION": "3.11" }
/// }"#)?;
/// assert!(spec.validate().is_empty());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabInstance {
    /// A LabTemplate of the namespace, or a built-in one.
    pub template: String,
    /// Whose lab it is.
    pub student_email: String,
    /// How long it lives once it is ready; the policy's default if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<HumanDuration>,
    /// What its process finds in its environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// When it is to be ready; work starts up to five minutes before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_start: Option<Timestamp>,
    /// What it needs; what the template says if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Of which course it is part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<String>,
}

/// What a lab needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Resources {
    /// Processors; more than 0, at most 8.
    pub cpu: Quantity,
    /// Bytes of memory; more than 0.
    pub memory: Quantity,
}

impl Default for Resources {
    fn default() -> Self {
        Self { cpu: Quantity::from_units(1), memory: Quantity::from_units(1 << 30) }
    }
}

impl Resources {
    /// What is wrong with it.
    #[must_use]
    pub fn validate(&self) -> Violations {
        let cpu = !self.cpu.is_zero() && self.cpu <= MAX_CPU;
        let mut found =
            Violations::unless(cpu, "cpu", format!("is {}, expected more than 0 and at most {MAX_CPU}", self.cpu));
        found.merge(Violations::unless(!self.memory.is_zero(), "memory", "is 0, expected more"));
        found
    }
}

/// What is observed of a lab.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LabStatus {
    /// Where it is in its life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<LabState>,
    /// Why, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Where it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// When it was first ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
    /// When it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When the present attempt to bring it up began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioning_started_at: Option<Timestamp>,
    /// Since when it is in its state: the clock of time-outs, which nothing but a change of state moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_since: Option<Timestamp>,
    /// Before when it is not tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// How often bringing it up, or keeping it up, was tried again.
    pub retries: u32,
    /// On which worker it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_ref: Option<String>,
    /// What was set aside for it, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation: Option<Allocation>,
    /// What is known of it, aspect by aspect.
    #[serde(skip_serializing_if = "Conditions::is_empty")]
    pub conditions: Conditions,
    /// Which generation of its spec was last seen.
    pub observed_generation: u64,
    /// Its last transitions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Step>,
}

/// What was set aside for a lab, and where. It stands before the first outside effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    /// The machine whose `roa` acts on it.
    pub node: String,
    /// Processors.
    pub cpu: Quantity,
    /// Bytes of memory.
    pub memory: Quantity,
}

/// A transition that a lab made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// To which state.
    pub state: LabState,
    /// When.
    pub at: Timestamp,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl LabStatus {
    /// The state; pending if it has none yet.
    #[must_use]
    pub fn state(&self) -> LabState {
        self.state.unwrap_or(LabState::Pending)
    }

    /// Goes to a state, and notes when and why.
    pub fn go_to(&mut self, state: LabState, message: impl Into<String>, now: Timestamp) {
        self.message = message.into();
        if self.state == Some(state) {
            return;
        }
        let at = now.truncate_to_seconds();
        self.state = Some(state);
        self.state_since = Some(at);
        self.history.push(Step { state, at, reason: self.message.clone() });
        let excess = self.history.len().saturating_sub(MAX_HISTORY);
        self.history.drain(..excess);
    }
}

/// A lab and its status.
pub type Lab = Object<LabInstance>;

impl Spec for LabInstance {
    type Status = LabStatus;
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "LabInstance";
    const PLURAL: &'static str = "labinstances";
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["lab", "labs"];
    const SELECTABLE_FIELDS: &'static [&'static str] = &["status.state", "spec.template", "spec.studentEmail"];

    fn validate(&self) -> Violations {
        let mut found = Violations::none();
        if let Err(reason) = names::dns_subdomain(&self.template) {
            found.push("template", reason);
        }
        found.merge(email(&self.student_email).nested("studentEmail"));
        if let Some(duration) = self.duration {
            found.merge(check_duration(duration).nested("duration"));
        }
        if let Some(resources) = &self.resources {
            found.merge(resources.validate().nested("resources"));
        }
        found.merge(validate_environment(&self.environment).nested("environment"));
        found
    }

    fn state_machine() -> Option<&'static StateMachine> {
        Some(&MACHINE)
    }

    fn columns() -> Vec<Column> {
        vec![
            Column::text("STATE", "status.state"),
            Column::text("TEMPLATE", "spec.template"),
            Column::text("STUDENT", "spec.studentEmail"),
            Column::text("ENDPOINT", "status.endpoint"),
            Column::date("EXPIRES", "status.expiresAt"),
        ]
    }
}

pub(crate) fn check_duration(duration: HumanDuration) -> Violations {
    let message = format!("is {duration}, expected {} to {}", HumanDuration(MIN_DURATION), HumanDuration(MAX_DURATION));
    Violations::unless((MIN_DURATION..=MAX_DURATION).contains(&duration.0), "", message)
}

/// An address of the form that nearly everybody has: no quotes, no comments, no spaces.
fn email(text: &str) -> Violations {
    let proper = text.split_once('@').is_some_and(|(local, domain)| {
        let local_is_proper = !local.is_empty()
            && local.len() <= 64
            && local.split('.').all(|part| !part.is_empty())
            && local.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c));
        local_is_proper && domain.contains('.') && names::dns_subdomain(&domain.to_ascii_lowercase()).is_ok()
    });
    Violations::unless(proper, "", format!("{text:?} is no address, expected one such as student@example.com"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut json = json!({"template": "static-site", "studentEmail": "student@example.com"});
        change(&mut json);
        match serde_json::from_value::<LabInstance>(json) {
            Ok(spec) => spec.validate().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn good_specs_are_taken() {
        assert_eq!(spec(|_| ()), "");
        assert_eq!(spec(|json| json["duration"] = json!("8h")), "");
        assert_eq!(spec(|json| json["resources"] = json!({"cpu": "500m", "memory": "1.5Gi"})), "");
        assert_eq!(spec(|json| json["scheduledStart"] = json!("2027-01-02T09:00:00+01:00")), "");
    }

    #[test]
    fn bad_specs_are_refused_with_what_was_expected() {
        let cases: [(&str, serde_json::Value, &str); 11] = [
            ("duration", json!("30s"), "duration: is 30s, expected 1m to 8h"),
            ("duration", json!("9h"), "duration: is 9h"),
            ("duration", json!("soon"), "expected a number and a unit"),
            ("studentEmail", json!("student"), "studentEmail: \"student\" is no address"),
            ("studentEmail", json!("a@b@c.de"), "is no address"),
            ("studentEmail", json!("a b@c.de"), "is no address"),
            ("template", json!("Python Basics"), "template:"),
            ("resources", json!({"cpu": "9"}), "resources.cpu: is 9, expected more than 0 and at most 8"),
            ("resources", json!({"cpu": "nan"}), "expected a number with an optional suffix"),
            ("resources", json!({"memory": "0Gi"}), "resources.memory: is 0"),
            ("environment", json!({"1BAD=": "x"}), "environment"),
        ];
        for (field, value, expected) in cases {
            let found = spec(|json| json[field] = value.clone());
            assert!(found.contains(expected), "{field} {value}: {found:?} should contain {expected:?}");
        }
        let both = spec(|json| {
            json["duration"] = json!("1s");
            json["studentEmail"] = json!("x");
        });
        assert!(both.contains("duration") && both.contains("studentEmail"), "{both}");
    }

    #[test]
    fn lesson_43_the_history_is_kept_in_the_object_and_bounded() {
        let mut status = LabStatus::default();
        let at = |seconds| Timestamp::from_unix_seconds(seconds).unwrap();
        for second in 0..50 {
            let state = if second % 2 == 0 { LabState::Ready } else { LabState::Failed };
            status.go_to(state, format!("step {second}"), at(second));
        }
        status.go_to(LabState::Failed, "the same state again", at(99));
        assert_eq!((status.history.len(), status.state_since), (20, Some(at(49))));
        let read: LabStatus = serde_json::from_str(&serde_json::to_string(&status).unwrap()).unwrap();
        assert_eq!(read, status);
    }
}
