//! The sample manifests of the lab, through the real binary: each is taken, and its labs come to what they are a sample of.

use std::collections::BTreeMap;
use std::path::Path;

use roa_lab::{Lab, LabState, conditions};

use crate::control_plane::{Roa, port, visit};
use crate::labs::Address;

/// The samples, by file name. Those of workers have a test of their own: with a pool, other workers get the labs.
fn samples() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../roa-lab/manifests");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    });
    texts.filter(|(_, text)| !text.contains("LabWorker")).collect()
}

fn is_settled(lab: &Lab) -> bool {
    let waits = |reason: &str| {
        let scheduled = lab.status.conditions.get(conditions::SCHEDULED);
        scheduled.is_some_and(|condition| condition.reason == reason)
    };
    match lab.status.state() {
        LabState::Ready => true,
        LabState::Pending => lab.spec.scheduled_start.is_some() && waits("ScheduledLater"),
        _ => false,
    }
}

#[test]
fn the_sample_manifests_are_taken_as_they_are_and_each_lab_comes_to_what_it_shows() {
    let samples = samples();
    let manifests: Vec<(&str, &str)> = samples.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    // One of the templates fails now and then.
    let mut roa = Roa::start_with(&manifests, &[("ROA_LAB__RETRY_BACKOFF", "500ms")]);
    roa.until("they are applied", || roa.log().contains("manifests applied").then_some(()));
    let store = roa.store();
    let labs = roa.until("each lab is ready or waits for its time", || {
        let labs = store.labs();
        labs.values().all(is_settled).then_some(labs)
    });
    for (name, state) in [
        ("python-basics-lab", LabState::Ready),
        ("static-site-lab", LabState::Ready),
        ("course-lab", LabState::Ready),
        ("greeting-lab", LabState::Ready),
        ("rehearsal-lab", LabState::Ready),
        ("exam-lab", LabState::Pending),
    ] {
        assert_eq!(labs[name].status.state(), state, "{name}");
    }
    assert!(answer(&roa, &labs["greeting-lab"]).contains("Good morning, Ada"), "its environment is filled in");
    assert!(answer(&roa, &labs["course-lab"]).contains("Welcome to the course"), "its files are laid");
    assert!(every_kind_of_template_is_there(&store));
    assert!(roa.terminate().success(), "{}", roa.log());
}

/// What a lab's process serves.
fn answer(roa: &Roa, lab: &Lab) -> String {
    let record = roa.dir.path().join("data/labs").join(&lab.metadata.uid).join("state.json");
    let state = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    visit(port(&state).unwrap()).unwrap()
}

fn every_kind_of_template_is_there(store: &Address) -> bool {
    let templates = store.objects("labtemplates");
    ["process", "simulated"].iter().all(|kind| templates.iter().any(|found| found["spec"]["provisioner"] == *kind))
}
