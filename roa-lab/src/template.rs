//! [`LabTemplate`]: how labs of one sort are brought up. Some are built in.

use std::collections::BTreeMap;
use std::time::Duration;

use roa_core::{Column, HumanDuration, Object, Scope, Spec, Violations};
use serde::{Deserialize, Serialize};

use crate::instance::check_duration;
use crate::provision::{ProcessTemplate, Readiness, SimulatedTemplate};
use crate::{GROUP, Resources, VERSION};

/// How labs of one sort are brought up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabTemplate {
    /// Which provisioner: `simulated`, `process`, or another that is registered.
    pub provisioner: String,
    /// For `process`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessTemplate>,
    /// For `simulated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<SimulatedTemplate>,
    /// What its labs need, unless they say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// How long its labs may live at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<HumanDuration>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Nothing is observed of a template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NoStatus {}

/// A template.
pub type Template = Object<LabTemplate>;

impl Spec for LabTemplate {
    type Status = NoStatus;
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "LabTemplate";
    const PLURAL: &'static str = "labtemplates";
    const SCOPE: Scope = Scope::Namespaced;

    fn validate(&self) -> Violations {
        let mut found = Violations::none();
        let (process, simulated) = (self.process.is_some(), self.simulated.is_some());
        match self.provisioner.as_str() {
            "" => found.push("provisioner", "is empty, expected one such as simulated or process"),
            "process" if !process => found.push("process", "is missing, expected a command"),
            "process" if simulated => found.push("simulated", "is given, expected none with the provisioner process"),
            "simulated" if process => found.push("process", "is given, expected none with the provisioner simulated"),
            _ => {}
        }
        if let Some(process) = &self.process {
            found.merge(process.validate().nested("process"));
        }
        if let Some(simulated) = &self.simulated {
            found.merge(simulated.validate().nested("simulated"));
        }
        if let Some(resources) = &self.resources {
            found.merge(resources.validate().nested("resources"));
        }
        if let Some(duration) = self.max_duration {
            found.merge(check_duration(duration).nested("maxDuration"));
        }
        found
    }

    fn columns() -> Vec<Column> {
        vec![Column::text("PROVISIONER", "spec.provisioner"), Column::text("DESCRIPTION", "spec.description")]
    }
}

/// What a built-in static site shows.
const WELCOME: &str = "<!doctype html>\n<meta charset=\"utf-8\">\n<title>lab</title>\n<h1>Your lab is ready</h1>\n";

/// The template that is built in under a name. One of the namespace with the same name goes before it.
#[must_use]
pub fn builtin(name: &str) -> Option<LabTemplate> {
    match name {
        "simulated" => Some(LabTemplate {
            simulated: Some(SimulatedTemplate::default()),
            resources: Some(Resources { cpu: crate::Quantity::from_thousandths(1), ..Resources::default() }),
            ..template("simulated", "a lab that only seems to be")
        }),
        "static-site" => Some(LabTemplate {
            process: Some(http(&["{roa}", "static-site", "--port", "{port}", "--dir", "{dir}"])),
            ..template("process", "a small site, served by roa itself")
        }),
        "python-basics" => Some(LabTemplate {
            process: Some(http(&[
                "python3",
                "-m",
                "http.server",
                "{port}",
                "--bind",
                "127.0.0.1",
                "--directory",
                "{dir}",
            ])),
            ..template("process", "Python's own web server")
        }),
        _ => None,
    }
}

fn template(provisioner: &str, description: &str) -> LabTemplate {
    LabTemplate {
        provisioner: provisioner.to_owned(),
        process: None,
        simulated: None,
        resources: None,
        max_duration: None,
        description: description.to_owned(),
    }
}

fn http(command: &[&str]) -> ProcessTemplate {
    ProcessTemplate {
        command: command.iter().map(|&part| part.to_owned()).collect(),
        files: BTreeMap::from([("index.html".to_owned(), WELCOME.to_owned())]),
        readiness: Readiness { http_get: Some("/".to_owned()), ..Readiness::default() },
        stop_grace: HumanDuration(Duration::from_secs(5)),
        ..ProcessTemplate::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_valid() {
        for name in ["simulated", "static-site", "python-basics"] {
            let found = builtin(name).unwrap().validate();
            assert!(found.is_empty(), "{name}: {found}");
        }
        assert_eq!(builtin("other"), None);
    }

    #[test]
    fn a_template_that_contradicts_itself_is_refused() {
        let mixed = LabTemplate { provisioner: "simulated".into(), ..builtin("static-site").unwrap() };
        assert!(mixed.validate().to_string().contains("process: is given"), "{}", mixed.validate());
        let empty = LabTemplate { process: None, ..builtin("static-site").unwrap() };
        assert!(empty.validate().to_string().contains("process: is missing"));
    }
}
