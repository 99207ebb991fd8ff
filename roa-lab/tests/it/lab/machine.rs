//! The state machine holds for everybody who writes to the store.

use roa_core::Error;
use roa_lab::{LabState, MACHINE};
use serde_json::json;

use super::world::World;

/// Lesson 44: a change that is not declared is refused, and nothing is changed by it.
#[tokio::test]
async fn lesson_44_changes_that_are_not_declared_are_refused_whoever_writes() {
    for from in LabState::ALL {
        for to in LabState::ALL {
            let world = World::new();
            world.lab("a").await;
            for state in path_to(from) {
                world.write_status("a", json!({"state": state})).await.unwrap();
            }
            let always = |edge: &roa_core::Transition| edge.to == to.as_str() && edge.when == roa_core::When::Always;
            let expected = from == to || MACHINE.allowed_from(from.as_str()).any(always);
            // The spec counts as taken up, or else a failed lab could begin anew.
            let outcome = world.write_status("a", json!({"state": to, "observedGeneration": 1})).await;
            match outcome {
                Ok(()) => assert!(expected || (from, to) == (LabState::Failed, LabState::Pending), "{from} to {to}"),
                Err(Error::Transition { .. }) => {
                    assert!(!expected, "{from} to {to}");
                    assert_eq!(world.status("a").await.state(), from);
                }
                Err(error) => panic!("{from} to {to}: {error}"),
            }
        }
    }
}

/// Declared changes that lead to a state.
fn path_to(state: LabState) -> &'static [&'static str] {
    match state {
        LabState::Pending => &["pending"],
        LabState::Provisioning => &["provisioning"],
        LabState::Ready => &["provisioning", "ready"],
        LabState::Failed => &["failed"],
        LabState::Deleting => &["failed", "deleting"],
        LabState::Deleted => &["failed", "deleting", "deleted"],
    }
}

#[tokio::test]
async fn a_failed_lab_begins_anew_only_with_a_changed_spec() {
    let world = World::new();
    world.lab("a").await;
    world.write_status("a", json!({"state": "failed", "observedGeneration": 1})).await.unwrap();
    let refused = world.write_status("a", json!({"state": "pending", "observedGeneration": 1})).await.unwrap_err();
    assert!(refused.to_string().contains("from failed to pending only when the spec has changed"), "{refused}");
    world.edit("a", |spec| spec.track = Some("gpu".into())).await;
    world.write_status("a", json!({"state": "pending", "observedGeneration": 2})).await.unwrap();
}

#[tokio::test]
async fn a_state_that_does_not_exist_is_refused_with_those_that_do() {
    let world = World::new();
    world.lab("a").await;
    let refused = world.write_status("a", json!({"state": "flying"})).await.unwrap_err().to_string();
    assert!(refused.contains("status.state") && refused.contains("`provisioning`"), "{refused}");
}
