//! Kinds that are declared at run time.

use serde_json::{Value as Json, json};
use tokio::time::timeout;

use crate::support::{BOUND, Server};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/shop.example.com/v1/namespaces/school/widgets";

fn definition() -> Json {
    let schema = json!({ "type": "object", "properties": { "spec": { "type": "object", "required": ["colour"], "properties": {
        "colour": { "type": "string", "enum": ["red", "blue"] }, "count": { "type": "integer", "default": 2 },
    } } } });
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage, "schema": { "openAPIV3Schema": schema },
            "additionalPrinterColumns": [{ "name": "Colour", "type": "string", "jsonPath": ".spec.colour" }],
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.shop.example.com" },
        "spec": {
            "group": "shop.example.com", "scope": "Namespaced",
            "names": { "plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"] },
            "versions": [version("v1", true), version("v2", false)],
        },
    })
}

async fn until(server: &Server, path: &str, holds: impl Fn(u16, &str) -> bool) {
    let wait = async {
        loop {
            let reply = server.get(path).await;
            if holds(reply.status, &reply.body) {
                return;
            }
        }
    };
    timeout(BOUND, wait).await.unwrap_or_else(|_| panic!("{path} never came to be so"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_is_declared_served_and_taken_back() {
    let server = Server::start().await;
    let created = server.post(DEFINITIONS, &definition()).await;
    assert_eq!(created.status, 201, "{created:?}");
    let one = format!("{DEFINITIONS}/widgets.shop.example.com");
    until(&server, &one, |_, body| body.contains("\"Established\"")).await;
    until(&server, WIDGETS, |status, _| status == 200).await;

    let widget = |spec: Json| json!({ "apiVersion": "shop.example.com/v1", "kind": "Widget", "metadata": { "name": "a" }, "spec": spec });
    assert_eq!(server.post(WIDGETS, &widget(json!({ "colour": "green" }))).await.status, 422);
    assert_eq!(server.post(WIDGETS, &widget(json!({}))).await.status, 422);
    let made = server.post(WIDGETS, &widget(json!({ "colour": "red", "shape": "round" }))).await;
    assert_eq!(made.json()["spec"], json!({ "colour": "red", "count": 2 }), "defaulted and pruned");
    let newer = server.get(&format!("{}/a", WIDGETS.replace("/v1/", "/v2/"))).await.json();
    assert_eq!((&newer["apiVersion"], &newer["spec"]["colour"]), (&json!("shop.example.com/v2"), &json!("red")));

    let gone = server.send("DELETE", &one, &[], "").await;
    assert_eq!(gone.status, 200);
    until(&server, &one, |status, _| status == 404).await;
    until(&server, WIDGETS, |status, _| status == 404).await;
    server.post(DEFINITIONS, &definition()).await;
    until(&server, &format!("{WIDGETS}/a"), |status, body| status == 404 && body.contains("\\\"a\\\"")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_is_wrong_is_refused() {
    let server = Server::start().await;
    let mut wrong = definition();
    wrong["metadata"]["name"] = json!("other");
    let refused = server.post(DEFINITIONS, &wrong).await;
    assert_eq!((refused.status, &refused.json()["details"]["causes"][0]["field"]), (422, &json!("metadata.name")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_is_judged_by_what_it_says_and_not_by_fields_that_the_kind_has_lost() {
    let server = Server::start().await;
    let mut with_old = definition();
    for version in with_old["spec"]["versions"].as_array_mut().unwrap() {
        version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["old"] = json!({ "type": "string" });
    }
    assert_eq!(server.post(DEFINITIONS, &with_old).await.status, 201);
    until(&server, WIDGETS, |status, _| status == 200).await;
    let widget = json!({
        "apiVersion": "shop.example.com/v1", "kind": "Widget", "metadata": { "name": "a" },
        "spec": { "colour": "red", "old": "x" },
    });
    assert_eq!(server.post(WIDGETS, &widget).await.json()["spec"]["old"], "x");
    let merge = [("content-type", "application/merge-patch+json")];
    let without = json!({ "spec": { "versions": definition()["spec"]["versions"] } }).to_string();
    let one = format!("{DEFINITIONS}/widgets.shop.example.com");
    assert_eq!(server.send("PATCH", &one, &merge, &without).await.status, 200);
    // From now on the kind is the one without the field.
    let probe = json!({ "spec": { "old": "y" } }).to_string();
    let strict = format!("{WIDGETS}/a?fieldValidation=Strict");
    let wait =
        async { while server.send("PATCH", &format!("{strict}&dryRun=All"), &merge, &probe).await.status != 400 {} };
    timeout(BOUND, wait).await.expect("the definition is not followed");
    let labels = json!({ "metadata": { "labels": { "a": "b" } } }).to_string();
    let patched = server.send("PATCH", &strict, &merge, &labels).await;
    assert_eq!(patched.status, 200, "{patched:?}");
    assert_eq!(patched.json()["spec"], json!({ "colour": "red", "count": 2 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn t8_a_rule_that_no_thread_could_bear_is_refused() {
    let server = Server::start().await;
    let deep = "(".repeat(1900);
    for before in [r"'\\' == '\\' && ", r"r'\' != '' && ", "\"\"\" ' \"\"\" != '' && ", "// it's\n", ""] {
        let mut wrong = definition();
        wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] =
            json!([{ "rule": format!("{before}{deep}") }]);
        let refused = server.post(&format!("{DEFINITIONS}?dryRun=All"), &wrong).await;
        assert_eq!(refused.status, 422, "{before}: {refused:?}");
    }
}
