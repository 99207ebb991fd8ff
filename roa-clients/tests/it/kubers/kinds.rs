//! Kinds as an operator has them: one that `roa` knows, one that is declared while it runs.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ObjectMeta, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use crate::support::BOUND;

pub const NAMESPACE: &str = "school";

#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(group = "lab.neuroglia.com", version = "v1", kind = "LabInstance", namespaced, schema = "disabled")]
#[serde(rename_all = "camelCase")]
pub struct LabSpec {
    pub template: String,
    pub student_email: String,
    pub duration: String,
}

#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Robot", namespaced, status = "RobotStatus")]
pub struct RobotSpec {
    pub arms: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RobotStatus {
    pub built: u32,
}

pub fn lab(name: &str) -> LabInstance {
    let spec = LabSpec {
        template: "rehearsal".to_owned(),
        student_email: "student@example.com".to_owned(),
        duration: "30m".to_owned(),
    };
    LabInstance::new(name, spec)
}

pub fn robot(name: &str, arms: u32) -> Robot {
    Robot::new(name, RobotSpec { arms })
}

pub fn dynamic_lab(name: &str) -> DynamicObject {
    let resource = ApiResource::erase::<LabInstance>(&());
    let mut lab = DynamicObject::new(name, &resource);
    lab.data = json!({ "spec": { "template": "rehearsal", "studentEmail": "student@example.com", "duration": "30m" } });
    lab
}

pub fn labs(client: &Client) -> Api<LabInstance> {
    Api::namespaced(client.clone(), NAMESPACE)
}

/// Declares the kind and waits until it is served.
pub async fn robots(client: &Client) -> Api<Robot> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.create(&PostParams::default(), &Robot::crd()).await.unwrap();
    let established = await_condition(definitions, "robots.example.com", conditions::is_crd_established());
    timeout(BOUND, established).await.expect("the kind is established in time").unwrap();
    Api::namespaced(client.clone(), NAMESPACE)
}

/// The version of an object.
pub fn version(meta: &ObjectMeta) -> u64 {
    meta.resource_version.as_deref().unwrap().parse().unwrap()
}
