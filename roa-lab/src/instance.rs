//! [`LabInstance`]: the lab that somebody wants.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use roa_core::{Column, Conditions, HumanDuration, Object, Scope, Spec, StateMachine, Timestamp, Violations, names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::provision::validate_environment;
use crate::{GROUP, LabStatus, MACHINE, ResourceRequest, VERSION, Written, values::email};

/// A lab: what is wanted and what is observed of it.
pub type Lab = Object<LabInstance>;

/// How short and how long a lab may be wanted for.
pub(crate) const DURATIONS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(8 * 3600));

/// What is wanted of a lab.
///
/// A running lab takes up a change of `duration` and `scheduledStart` at once, by another end; a change of anything else
/// when it is next brought up. A failed one begins anew with any change.
///
/// ```
/// use roa_core::Spec;
/// use roa_lab::LabInstance;
/// let spec: LabInstance = serde_json::from_str(r#"{
///     "template": "python-basics", "studentEmail": "student@example.com", "duration": "60m",
///     "environment": { "PYTHON_VERSION": "3.11" }
/// }"#)?;
/// assert!(spec.validate().is_empty());
///
/// let wrong: LabInstance = serde_json::from_str(r#"{"studentEmail": "nobody", "duration": "9h"}"#)?;
/// assert_eq!(wrong.validate().iter().count(), 3, "each reason is told");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabInstance {
    /// The LabTemplate of the same namespace that says how it is made, or a built-in one.
    pub template: String,
    /// Whose it is.
    pub student_email: String,
    /// For how long, from 1m to 8h; an hour if not given. A template may allow less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Written<HumanDuration>>,
    /// Variables of its environment. The values of those whose names end in `PASSWORD`, `TOKEN`, `SECRET` or `KEY` reach
    /// the lab's process, and no log, event or message. Who may read this object reads them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// When it is to be ready. It is brought up some minutes before, and its time counts from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_start: Option<Written<Timestamp>>,
    /// What it needs, where that differs from its template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequest>,
    /// Which workers may have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<String>,
}

/// Shows the names of the environment's variables, not their values: they may be secrets.
impl fmt::Debug for LabInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabInstance")
            .field("template", &self.template)
            .field("student_email", &self.student_email)
            .field("duration", &self.duration)
            .field("environment", &self.environment.keys())
            .field("scheduled_start", &self.scheduled_start)
            .field("resources", &self.resources)
            .field("track", &self.track)
            .finish()
    }
}

impl LabInstance {
    /// For how long it is wanted, if that is said.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.duration.as_ref().and_then(Written::get).map(|duration| duration.0)
    }

    /// When it is to be ready, if that is said.
    #[must_use]
    pub fn scheduled_start(&self) -> Option<Timestamp> {
        self.scheduled_start.as_ref().and_then(Written::get).copied()
    }
}

impl Spec for LabInstance {
    type Status = LabStatus;
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "LabInstance";
    const PLURAL: &'static str = "labinstances";
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["lab", "labs"];
    const SELECTABLE_FIELDS: &'static [&'static str] =
        &["spec.studentEmail", "spec.template", "spec.track", "status.state", "status.workerRef"];
    const ABNORMAL_CONDITIONS: &'static [&'static str] = &[crate::conditions::DEGRADED];

    fn validate(&self) -> Violations {
        let mut found = template_name(&self.template);
        note(&mut found, "studentEmail", email::check(&self.student_email));
        if let Some(duration) = &self.duration {
            note(&mut found, "duration", check_duration(duration));
        }
        found.merge(validate_environment(&self.environment).nested("environment"));
        if let Some(problem) = self.scheduled_start.as_ref().and_then(Written::problem) {
            found.push("scheduledStart", problem);
        }
        if let Some(resources) = &self.resources {
            found.merge(resources.validate().nested("resources"));
        }
        if let Some(track) = &self.track {
            note(&mut found, "track", names::dns_label(track));
        }
        found
    }

    fn conditions(status: &LabStatus) -> Option<&Conditions> {
        Some(&status.conditions)
    }

    fn state_machine() -> Option<&'static StateMachine> {
        Some(&MACHINE)
    }

    fn schema() -> Option<serde_json::Value> {
        Some(crate::schema::of::<Self>())
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

fn template_name(name: &str) -> Violations {
    if name.is_empty() {
        return Violations::one("template", "is missing, expected the name of a LabTemplate");
    }
    let mut found = Violations::none();
    note(&mut found, "template", names::dns_subdomain(name));
    found
}

/// Whether it is one of those that a lab may be wanted for.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_duration(duration: &Written<HumanDuration>) -> Result<(), String> {
    let (least, most) = DURATIONS;
    match (duration.get(), duration.problem()) {
        (Some(duration), _) if (least..=most).contains(&duration.0) => Ok(()),
        (Some(duration), _) => {
            Err(format!("is {duration}, expected {} to {}", HumanDuration(least), HumanDuration(most)))
        }
        (None, problem) => Err(problem.unwrap_or_default().to_owned()),
    }
}

fn note(found: &mut Violations, path: &str, outcome: Result<(), String>) {
    if let Err(reason) = outcome {
        found.push(path, reason);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn valid() -> Value {
        json!({"template": "python-basics", "studentEmail": "student@example.com"})
    }

    fn problems(change: impl FnOnce(&mut Value)) -> String {
        let mut json = valid();
        change(&mut json);
        serde_json::from_value::<LabInstance>(json).unwrap().validate().to_string()
    }

    #[test]
    fn what_is_allowed_passes() {
        assert_eq!(problems(|_| {}), "");
        for duration in ["1m", "60m", "1h30m", "8h", "1.5h"] {
            assert_eq!(problems(|spec| spec["duration"] = duration.into()), "", "{duration}");
        }
        assert_eq!(problems(|spec| spec["scheduledStart"] = "2027-01-02T03:04:05+02:00".into()), "");
        assert_eq!(problems(|spec| spec["resources"] = json!({"cpu": 2, "memory": "1.5Gi"})), "");
        assert_eq!(problems(|spec| spec["track"] = "gpu".into()), "");
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        let cases: [(&str, Value, &str); 15] = [
            ("template", "".into(), "template: is missing"),
            ("template", "Py Basics".into(), "template: \"Py Basics\" is not allowed"),
            ("studentEmail", "".into(), "studentEmail: is missing"),
            ("studentEmail", "student".into(), "studentEmail: \"student\" is no address"),
            ("duration", "59s".into(), "duration: is 59s, expected 1m to 8h"),
            ("duration", "8h1s".into(), "duration: is 8h1s, expected 1m to 8h"),
            ("duration", 60.into(), "duration: parse duration \"60\": a number without a unit"),
            ("duration", "-1h".into(), "duration: parse duration \"-1h\": negative"),
            ("environment", json!({"1A": "x"}), "environment: name \"1A\""),
            ("environment", json!({"LD_PRELOAD": "x"}), "environment.LD_PRELOAD: is reserved"),
            ("scheduledStart", "tomorrow".into(), "scheduledStart: parse time \"tomorrow\""),
            ("resources", json!({"cpu": "nan"}), "resources.cpu: parse quantity \"nan\""),
            ("resources", json!({"cpu": "8.1"}), "resources.cpu: is 8100m, expected at most 8"),
            ("resources", json!({"memory": "0Gi"}), "resources.memory: parse quantity \"0Gi\": nothing"),
            ("track", "a b".into(), "track: \"a b\" is not allowed"),
        ];
        for (field, value, expected) in cases {
            let found = problems(|spec| spec[field] = value.clone());
            assert!(found.contains(expected), "{field} = {value}: {found:?} should contain {expected:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let wrong = json!({
            "studentEmail": "x", "duration": "9h", "environment": {"A-B": ""}, "scheduledStart": "?",
            "resources": {"cpu": "0", "memory": "-1Gi"}, "track": ""
        });
        let found = serde_json::from_value::<LabInstance>(wrong).unwrap().validate();
        let paths: Vec<_> = found.iter().map(|violation| violation.path.as_str()).collect();
        let expected = [
            "template",
            "studentEmail",
            "duration",
            "environment",
            "scheduledStart",
            "resources.cpu",
            "resources.memory",
            "track",
        ];
        assert_eq!(paths, expected, "{found}");
    }

    #[test]
    fn lesson_59_debug_shows_no_value_of_the_environment() {
        let spec: LabInstance = serde_json::from_value(json!({"environment": {"DB_PASSWORD": "canary"}})).unwrap();
        let shown = format!("{spec:?}");
        assert!(shown.contains("DB_PASSWORD") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn what_was_written_stays_as_it_was_written() {
        let json = json!({"template": "t", "studentEmail": "a@b", "duration": "60m", "resources": {"cpu": "0.5"}});
        let spec: LabInstance = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(spec).unwrap(), json);
    }
}
