//! The templates that are there without anybody having made them. One of the same name in a namespace takes precedence.

use std::collections::BTreeMap;
use std::time::Duration;

use roa_core::HumanDuration;

use crate::provision::{ProcessTemplate, Readiness, SimulatedTemplate};
use crate::{LabTemplate, Quantity, ResourceRequest, Resources};

/// What a lab of a built-in template that serves files shows.
const INDEX: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Lab</title>\n\
                     <h1>Your lab is ready</h1>\n<p>This page is served by the lab itself.</p>\n</html>\n";

/// The names of the built-in templates.
pub const BUILT_IN_TEMPLATES: [&str; 3] = ["python-basics", "simulated", "static-site"];

/// The built-in template of this name.
///
/// ```
/// use roa_core::Spec;
/// for name in roa_lab::BUILT_IN_TEMPLATES {
///     assert!(roa_lab::builtin(name).unwrap().validate().is_empty());
/// }
/// assert!(roa_lab::builtin("mine").is_none());
/// ```
#[must_use]
pub fn builtin(name: &str) -> Option<LabTemplate> {
    match name {
        "python-basics" => Some(python_basics()),
        "simulated" => Some(simulated()),
        "static-site" => Some(static_site()),
        _ => None,
    }
}

fn simulated() -> LabTemplate {
    LabTemplate {
        description: Some("A lab that only seems to be: ready after two seconds".to_owned()),
        provisioner: "simulated".to_owned(),
        simulated: Some(SimulatedTemplate::default()),
        resources: needs(Quantity::milli(1), Quantity::mebi(1)),
        ..LabTemplate::default()
    }
}

fn static_site() -> LabTemplate {
    let command = ["{roa}", "static-site", "--port", "{port}", "--dir", "{dir}"];
    LabTemplate {
        description: Some("A web site of files, served by roa itself".to_owned()),
        provisioner: "process".to_owned(),
        process: Some(served(&command)),
        resources: needs(Quantity::milli(50), Quantity::mebi(32)),
        ..LabTemplate::default()
    }
}

fn python_basics() -> LabTemplate {
    let command = ["python3", "-m", "http.server", "{port}", "--bind", "127.0.0.1", "--directory", "{dir}"];
    LabTemplate {
        description: Some("Python's own web server over the lab's directory; needs python3".to_owned()),
        provisioner: "process".to_owned(),
        process: Some(served(&command)),
        resources: needs(Quantity::milli(250), Quantity::mebi(128)),
        ..LabTemplate::default()
    }
}

/// A process that serves a page, and is ready when it does.
fn served(command: &[&str]) -> ProcessTemplate {
    let [period, timeout] = [200, 1000].map(|millis| HumanDuration(Duration::from_millis(millis)));
    ProcessTemplate {
        command: command.iter().map(|&argument| argument.to_owned()).collect(),
        files: BTreeMap::from([("index.html".to_owned(), INDEX.to_owned())]),
        readiness: Readiness { http_get: Some("/".to_owned()), tcp: false, period, timeout },
        ..ProcessTemplate::default()
    }
}

fn needs(cpu: Quantity, memory: Quantity) -> ResourceRequest {
    ResourceRequest::of(Resources { cpu, memory })
}

#[cfg(test)]
mod tests {
    use roa_core::Spec;

    use super::*;

    #[test]
    fn every_builtin_is_valid_and_says_what_it_needs() {
        for name in BUILT_IN_TEMPLATES {
            let template = builtin(name).unwrap();
            assert_eq!(template.validate().to_string(), "", "{name}");
            assert!(template.description.is_some() && template.resources.cpu.is_some(), "{name}");
        }
        assert!(builtin("").is_none());
    }

    #[test]
    fn simulated_labs_need_next_to_nothing() {
        let resources = simulated().resources.or(&ResourceRequest::default());
        assert_eq!(resources.cpu.to_string(), "1m");
    }

    #[test]
    fn the_static_site_is_served_by_this_program_and_all_that_serve_have_a_page() {
        let process = static_site().process.unwrap();
        assert_eq!(process.command, ["{roa}", "static-site", "--port", "{port}", "--dir", "{dir}"]);
        for served in [process, python_basics().process.unwrap()] {
            assert!(served.files["index.html"].contains("Your lab is ready"));
        }
    }
}
