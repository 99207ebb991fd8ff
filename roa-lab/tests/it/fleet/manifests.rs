//! The manifests of workers and pools that come with this crate.

use roa_core::DynamicObject;
use roa_core::lifecycle::FieldValidation;
use roa_lab::{LabWorker, LabWorkerPool};
use serde_json::{Value, json};

use super::world::{Fleet, seconds};

async fn apply(fleet: &Fleet, text: &str) {
    for document in text.split("\n---\n") {
        let manifest: Value = serde_saphyr::from_str(document).unwrap();
        let object = DynamicObject::from_json(manifest).unwrap();
        let applied = fleet.resources.apply(object, FieldValidation::Strict).await;
        applied.unwrap_or_else(|error| panic!("{error}\n{document}"));
    }
}

#[tokio::test]
async fn the_samples_of_workers_and_pools_are_accepted_by_the_strict_door_and_come_up() {
    let fleet = Fleet::new().await;
    apply(&fleet, include_str!("../../../manifests/workers.yaml")).await;
    apply(&fleet, include_str!("../../../manifests/worker-pools.yaml")).await;
    assert_eq!((fleet.all::<LabWorker>().await.len(), fleet.all::<LabWorkerPool>().await.len()), (2, 3));
}

#[tokio::test]
async fn what_is_wrong_is_told_all_at_once_with_its_path() {
    let fleet = Fleet::new().await;
    let manifest = json!({
        "apiVersion": "lab.neuroglia.com/v1", "kind": "LabWorkerPool", "metadata": {"name": "p", "namespace": "school"},
        "spec": {"colour": "red", "scaling": {"policy": "Often", "min": 0}}
    });
    let object = DynamicObject::from_json(manifest).unwrap();
    let refused = fleet.resources.apply(object, FieldValidation::Strict).await.unwrap_err().to_string();
    for expected in [
        "spec.workerTemplate.capacity.cpu: is missing",
        "spec.workerTemplate.capacity.memory: is missing",
        "spec.scaling.policy: is \"Often\"",
        "spec.scaling.min: is 0",
        "spec.colour: unknown field",
    ] {
        assert!(refused.contains(expected), "{refused} should contain {expected}");
    }
    fleet.clock.advance(seconds(1));
    assert!(fleet.all::<LabWorkerPool>().await.is_empty());
}
