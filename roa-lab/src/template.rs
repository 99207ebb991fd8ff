//! [`LabTemplate`]: how labs of one sort are made.

use std::time::Duration;

use roa_core::{Column, HumanDuration, Object, Scope, Spec, Violations};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::instance::check_duration;
use crate::provision::{ProcessTemplate, SimulatedTemplate};
use crate::{GROUP, ResourceRequest, VERSION, Written};

/// A template of labs.
pub type Template = Object<LabTemplate>;

/// How labs of one sort are made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabTemplate {
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who brings its labs up, by name: `process`, `simulated`, or another that was registered.
    pub provisioner: String,
    /// For `process`: what runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessTemplate>,
    /// For `simulated`: what seems to happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulated: Option<SimulatedTemplate>,
    /// What its labs need, unless they say so themselves.
    #[serde(skip_serializing_if = "ResourceRequest::is_empty")]
    pub resources: ResourceRequest,
    /// The longest that its labs may be wanted for, from 1m to 8h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Written<HumanDuration>>,
}

/// Nothing is observed of a template.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoStatus {}

impl LabTemplate {
    /// The longest that its labs may be wanted for, if it says so.
    #[must_use]
    pub fn max_duration(&self) -> Option<Duration> {
        self.max_duration.as_ref().and_then(Written::get).map(|duration| duration.0)
    }

    fn validate_provisioner(&self) -> Violations {
        let mut found = Violations::unless(
            !self.provisioner.is_empty(),
            "provisioner",
            "is missing, expected process, simulated, or another that is registered",
        );
        if self.provisioner == "process" && self.process.is_none() {
            found.push("process", "is missing, expected what runs: the provisioner is \"process\"");
        }
        let unused =
            [("process", self.process.is_some(), "simulated"), ("simulated", self.simulated.is_some(), "process")];
        for (field, given, other) in unused {
            let used = !given || self.provisioner != other;
            found.merge(Violations::unless(used, field, format!("is given, but the provisioner is {other:?}")));
        }
        found
    }
}

impl Spec for LabTemplate {
    type Status = NoStatus;
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "LabTemplate";
    const PLURAL: &'static str = "labtemplates";
    const SCOPE: Scope = Scope::Namespaced;
    const SELECTABLE_FIELDS: &'static [&'static str] = &["spec.provisioner"];

    fn validate(&self) -> Violations {
        let mut found = self.validate_provisioner();
        if let Some(process) = &self.process {
            found.merge(process.validate().nested("process"));
        }
        if let Some(simulated) = &self.simulated {
            found.merge(simulated.validate().nested("simulated"));
        }
        found.merge(self.resources.validate().nested("resources"));
        if let Some(problem) = self.max_duration.as_ref().and_then(|duration| check_duration(duration).err()) {
            found.push("maxDuration", problem);
        }
        found
    }

    fn schema() -> Option<serde_json::Value> {
        Some(crate::schema::of::<Self>())
    }

    fn columns() -> Vec<Column> {
        vec![
            Column::text("PROVISIONER", "spec.provisioner"),
            Column::text("MAX-DURATION", "spec.maxDuration"),
            Column::text("DESCRIPTION", "spec.description"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problems(json: Value) -> String {
        serde_json::from_value::<LabTemplate>(json).unwrap().validate().to_string()
    }

    #[test]
    fn templates_of_any_provisioner_pass() {
        assert_eq!(problems(json!({"provisioner": "simulated"})), "");
        assert_eq!(problems(json!({"provisioner": "docker", "maxDuration": "2h", "resources": {"cpu": "500m"}})), "");
        assert_eq!(problems(json!({"provisioner": "process", "process": {"command": ["sleep", "1000"]}})), "");
        assert_eq!(
            problems(json!({"provisioner": "simulated", "simulated": {"provisionTime": "5s", "stuckRate": 1.0}})),
            ""
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        let cases = [
            (json!({}), "provisioner: is missing"),
            (json!({"provisioner": "process"}), "process: is missing"),
            (
                json!({"provisioner": "simulated", "process": {"command": ["x"]}}),
                "process: is given, but the provisioner is",
            ),
            (json!({"provisioner": "process", "process": {"command": ["x"]}, "simulated": {}}), "simulated: is given"),
            (json!({"provisioner": "process", "process": {"command": []}}), "process.command: is empty"),
            (json!({"provisioner": "simulated", "simulated": {"failureRate": 2}}), "simulated.failureRate: is 2"),
            (json!({"provisioner": "x", "resources": {"memory": "0"}}), "resources.memory: parse quantity"),
            (json!({"provisioner": "x", "maxDuration": "9h"}), "maxDuration: is 9h, expected 1m to 8h"),
        ];
        for (json, expected) in cases {
            let found = problems(json.clone());
            assert!(found.contains(expected), "{json}: {found:?} should contain {expected:?}");
        }
    }
}
