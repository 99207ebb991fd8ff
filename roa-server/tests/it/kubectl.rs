//! The real `kubectl` against a server on a real port: a test for each group of commands.
//!
//! `kubectl` 1.20 is too old for some of them (no `--subresource`, no server-side field validation): those tests say so
//! and check nothing then. Without any `kubectl` all of them do.

use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use roa_server::ApiConfig;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::support::{BOUND, LABS, Server, lab};

/// What a command came to.
#[derive(Debug)]
struct Ran {
    ok: bool,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn good(self) -> String {
        assert!(self.ok, "{self:?}");
        self.out
    }

    #[track_caller]
    fn bad(self, expected: &str) {
        assert!(!self.ok && self.err.contains(expected), "expected {expected:?}: {self:?}");
    }
}

/// A server, and a `kubectl` that knows no other.
struct Kubectl {
    server: Server,
    home: TempDir,
}

/// The minor version of the `kubectl` of this machine; `None` if there is none.
fn minor() -> Option<u32> {
    static MINOR: OnceLock<Option<u32>> = OnceLock::new();
    *MINOR.get_or_init(|| {
        let output = std::process::Command::new("kubectl").args(["version", "--client", "-o", "json"]).output().ok()?;
        let version: Json = serde_json::from_slice(&output.stdout).ok()?;
        version["clientVersion"]["minor"].as_str()?.trim_end_matches('+').parse().ok()
    })
}

impl Kubectl {
    /// `None`, with a reason on the standard error, where `kubectl` is missing or older than `at_least`.
    async fn start(at_least: u32) -> Option<Self> {
        match minor() {
            Some(minor) if minor >= at_least => {}
            found => {
                eprintln!("skipped: kubectl 1.{at_least} or newer is needed, found {found:?} (the minor version)");
                return None;
            }
        }
        let (server, home) = (Server::with(ApiConfig::default()).await, tempfile::tempdir().unwrap());
        let cluster = json!({ "server": format!("http://{}", server.address), "insecure-skip-tls-verify": true });
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "roa",
            "clusters": [{ "name": "roa", "cluster": cluster }], "users": [{ "name": "roa", "user": {} }],
            "contexts": [{ "name": "roa", "context": { "cluster": "roa", "user": "roa", "namespace": "school" } }],
        });
        std::fs::write(home.path().join("config"), config.to_string()).unwrap();
        Some(Self { server, home })
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new("kubectl");
        command
            .current_dir(self.home.path())
            .env("KUBECONFIG", self.home.path().join("config"))
            .env("HOME", self.home.path());
        command.arg("--cache-dir").arg(self.home.path().join("cache")).args(split(arguments));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command; quoted parts of it are one argument.
    async fn run(&self, arguments: &str) -> Ran {
        let output = timeout(BOUND, self.command(arguments).output()).await.expect("kubectl ends in time").unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ran { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    fn spawn(&self, arguments: &str) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn file(&self, name: &str, object: &Json) {
        std::fs::write(self.home.path().join(name), object.to_string()).unwrap();
    }

    fn path(&self) -> &Path {
        self.home.path()
    }
}

/// The words of a command line; what stands between `'` is one of them.
fn split(line: &str) -> Vec<String> {
    line.split('\'')
        .enumerate()
        .flat_map(|(at, part)| {
            if at % 2 == 1 { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() }
        })
        .collect()
}

fn sized(name: &str, size: u32) -> Json {
    let mut object = lab(name);
    object["spec"]["size"] = json!(size);
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_asks_what_there_is() {
    let Some(kubectl) = Kubectl::start(20).await else { return };
    assert!(kubectl.run("version").await.good().contains("v1.32"));
    let resources = kubectl.run("api-resources").await.good();
    assert!(resources.contains("labs") && resources.contains("customresourcedefinitions"), "{resources}");
    assert!(kubectl.run("api-versions").await.good().contains("lab.example.com/v1"));
    assert!(kubectl.run("cluster-info").await.good().contains("is running at"));
    assert!(kubectl.run("explain lab.spec.size").await.good().contains("How many."));
    kubectl.run("get nosuchkinds").await.bad("the server doesn't have a resource type");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_creates_and_gets_in_every_output() {
    let Some(kubectl) = Kubectl::start(20).await else { return };
    kubectl.file("a.json", &lab("a"));
    assert_eq!(kubectl.run("create -f a.json").await.good(), "lab.lab.example.com/a created\n");
    kubectl.run("create -f a.json").await.bad("AlreadyExists");
    kubectl.server.lab("b").await;
    for name in ["labs", "lab", "l", "Lab.v1.lab.example.com"] {
        let table = kubectl.run(&format!("get {name}")).await.good();
        assert!(table.starts_with("NAME   SIZE   AGE") && table.lines().count() == 3, "{table}");
    }
    assert!(kubectl.run("get labs -o wide").await.good().contains("STATE"));
    assert_eq!(kubectl.run("get lab a -o 'jsonpath={.spec.size}'").await.good(), "3");
    assert_eq!(kubectl.run("get labs -o name").await.good(), "lab.lab.example.com/a\nlab.lab.example.com/b\n");
    assert!(kubectl.run("get lab a -o yaml").await.good().contains("kind: Lab"));
    assert!(kubectl.run("get labs -o json").await.good().contains("\"items\""));
    let custom = kubectl.run("get labs -o custom-columns=N:.metadata.name,S:.spec.size").await.good();
    assert!(custom.starts_with("N     S\na     3"), "{custom}");
    assert!(kubectl.run("get labs -A").await.good().contains("school"));
    let pages = kubectl.run("get labs --chunk-size=1").await.good();
    assert_eq!(pages.lines().count(), 3, "{pages}");
    kubectl.run("get lab nobody").await.bad("NotFound");
    kubectl.run("get labs --field-selector spec.size=1").await.bad("field label not supported");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_by_the_client() {
    let Some(kubectl) = Kubectl::start(20).await else { return };
    kubectl.file("a.json", &lab("a"));
    assert!(kubectl.run("apply -f a.json").await.good().ends_with("created\n"));
    assert!(kubectl.run("apply -f a.json").await.good().ends_with("unchanged\n"));
    kubectl.file("a.json", &sized("a", 4));
    let diff = kubectl.run("diff -f a.json").await;
    assert!(!diff.ok && diff.out.contains("+  size: 4") && diff.out.contains("+  generation: 2"), "{diff:?}");
    assert!(!diff.out.contains("+  lastModified"), "nothing was modified: {diff:?}");
    assert!(kubectl.run("apply -f a.json").await.good().ends_with("configured\n"));
    assert!(kubectl.run("diff -f a.json").await.ok);
    kubectl.file("a.json", &sized("a", 5));
    assert!(kubectl.run("apply -f a.json --dry-run=server").await.good().contains("(server dry run)"));
    assert_eq!(kubectl.run("get lab a -o 'jsonpath={.spec.size}'").await.good(), "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_by_the_server_with_conflicts() {
    let Some(kubectl) = Kubectl::start(22).await else { return };
    kubectl.file("a.json", &sized("a", 1));
    kubectl.file("b.json", &sized("a", 2));
    assert!(
        kubectl.run("apply --server-side -f a.json --field-manager=m1").await.good().contains("serverside-applied")
    );
    let refused = kubectl.run("apply --server-side -f b.json --field-manager=m2").await;
    refused.bad("Apply failed with 1 conflict: conflict with \"m1\": .spec.size");
    kubectl.run("apply --server-side -f b.json --field-manager=m2 --force-conflicts").await.good();
    assert_eq!(kubectl.run("get lab a -o 'jsonpath={.spec.size}'").await.good(), "2");
    let shown = kubectl.run("get lab a -o yaml --show-managed-fields").await.good();
    assert!(shown.contains("manager: m2") && shown.contains("f:size"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_takes_an_object_from_client_side_to_server_side_apply() {
    let Some(kubectl) = Kubectl::start(27).await else { return };
    kubectl.file("a.json", &sized("a", 1));
    kubectl.run("apply -f a.json").await.good();
    kubectl.file("a.json", &sized("a", 2));
    kubectl.run("apply --server-side -f a.json").await.good();
    kubectl.file("a.json", &sized("a", 3));
    kubectl.run("apply --server-side -f a.json").await.good();
    assert_eq!(kubectl.run("get lab a -o 'jsonpath={.spec.size}'").await.good(), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_patches_labels_annotates_and_scales() {
    let Some(kubectl) = Kubectl::start(20).await else { return };
    kubectl.server.lab("a").await;
    let patch = "patch lab a --type merge -p '{\"spec\":{\"size\":7}}'";
    assert_eq!(kubectl.run(patch).await.good(), "lab.lab.example.com/a patched\n");
    assert!(kubectl.run(patch).await.good().contains("(no change)"));
    let json_patch = "patch lab a --type json -p '[{\"op\":\"replace\",\"path\":\"/spec/size\",\"value\":8}]'";
    kubectl.run(json_patch).await.good();
    kubectl
        .run("patch lab a -p '{\"spec\":{\"size\":9}}'")
        .await
        .bad("the body of the request was in an unknown format");
    assert!(kubectl.run("label lab a team=blue").await.good().contains("labeled"));
    assert_eq!(kubectl.run("get labs -l team=blue -o name").await.good(), "lab.lab.example.com/a\n");
    assert!(kubectl.run("annotate lab a note=x").await.good().contains("annotated"));
    assert!(kubectl.run("scale lab a --replicas=2").await.good().contains("scaled"));
    kubectl.run("scale lab a --current-replicas=5 --replicas=1").await.bad("Expected replicas to be 5, was 2");
    assert_eq!(kubectl.run("get lab a -o 'jsonpath={.spec.size}'").await.good(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_writes_the_status_alone() {
    let Some(kubectl) = Kubectl::start(24).await else { return };
    kubectl.server.lab("a").await;
    let patch =
        "patch lab a --subresource=status --type merge -p '{\"status\":{\"state\":\"up\"},\"spec\":{\"size\":9}}'";
    kubectl.run(patch).await.good();
    let found = kubectl.run("get lab a --subresource=status -o 'jsonpath={.status.state} {.spec.size}'").await.good();
    assert_eq!(found, "up 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_replaces_and_edits() {
    let Some(kubectl) = Kubectl::start(20).await else { return };
    let created = kubectl.server.lab("a").await;
    kubectl.file("a.json", &sized("a", 6));
    assert!(kubectl.run("replace -f a.json").await.good().contains("replaced"));
    kubectl.file("stale.json", &created);
    kubectl.run("replace -f stale.json").await.bad("Conflict");
    let script = kubectl.path().join("editor.sh");
    std::fs::write(&script, "#!/bin/sh\nsed -i 's/size: 6/size: 11/' \"$1\"\n").unwrap();
    let mut edit = kubectl.command("edit lab a");
    edit.env("KUBE_EDITOR", format!("sh {}", script.display()));
    let edited = timeout(BOUND, edit.output()).await.unwrap().unwrap();
    assert!(edited.status.success(), "{}", String::from_utf8_lossy(&edited.stderr));
    assert_eq!(kubectl.run("get lab a -o 'jsonpath={.spec.size}'").await.good(), "11");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_is_told_of_unknown_fields() {
    let Some(kubectl) = Kubectl::start(27).await else { return };
    let mut odd = lab("a");
    odd["spec"]["colour"] = json!("red");
    kubectl.file("odd.json", &odd);
    kubectl.run("create -f odd.json").await.bad("unknown field \"spec.colour\"");
    let warned = kubectl.run("create -f odd.json --validate=warn").await;
    assert!(warned.ok && warned.err.contains("unknown field"), "{warned:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_watches_and_waits() {
    let Some(kubectl) = Kubectl::start(23).await else { return };
    kubectl.server.lab("a").await;
    let waiting = kubectl.spawn("wait lab/a '--for=jsonpath={.status.state}=up' --timeout=60s");
    let watching = kubectl.spawn("get labs -w --request-timeout=4s");
    let status = json!({ "status": { "state": "up" } });
    // Both are to see it as a change: they have begun when the server has their watches, besides its own.
    let begun = async {
        while kubectl.server.hub.watchers() < 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(BOUND, begun).await.expect("both watch");
    kubectl.server.patch(&format!("{LABS}/a/status"), "application/merge-patch+json", &status).await;
    let waited = timeout(BOUND, waiting.wait_with_output()).await.unwrap().unwrap();
    assert!(waited.status.success(), "{}", String::from_utf8_lossy(&waited.stderr));
    let watched = timeout(BOUND, watching.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&watched.stdout).lines().count(),
        3,
        "{}",
        String::from_utf8_lossy(&watched.stdout)
    );
    kubectl.run("wait lab/nobody --for=delete --timeout=5s").await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_describes_with_events() {
    let Some(kubectl) = Kubectl::start(20).await else { return };
    let created = kubectl.server.lab("a").await;
    let event = json!({
        "metadata": { "generateName": "a-" }, "reason": "Said", "message": "hello there", "type": "Normal",
        "involvedObject": { "kind": "Lab", "name": "a", "namespace": "school", "uid": created["metadata"]["uid"], "apiVersion": "lab.example.com/v1" },
    });
    kubectl.server.post("/api/v1/namespaces/school/events", &event).await;
    let described = kubectl.run("describe lab a").await.good();
    assert!(described.contains("Said") && described.contains("hello there"), "{described}");
    assert!(kubectl.run("get events").await.good().contains("hello there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_deletes_with_finalizers_and_selectors() {
    let Some(kubectl) = Kubectl::start(20).await else { return };
    for name in ["a", "b", "c"] {
        kubectl.server.lab(name).await;
    }
    assert!(kubectl.run("delete lab a").await.good().contains("deleted"));
    let finalizer = json!({ "metadata": { "finalizers": ["example.com/f"] } });
    let (one, merge) = (format!("{LABS}/b"), "application/merge-patch+json");
    kubectl.server.patch(&one, merge, &finalizer).await;
    let mut deleting = kubectl.spawn("delete lab b");
    let marked = async { while !kubectl.server.get(&one).await.body.contains("deletionTimestamp") {} };
    timeout(BOUND, marked).await.expect("it is marked");
    assert!(deleting.try_wait().unwrap().is_none(), "kubectl waits for the finalizer");
    kubectl.server.patch(&one, merge, &json!({ "metadata": { "finalizers": null } })).await;
    assert!(timeout(BOUND, deleting.wait()).await.unwrap().unwrap().success());
    kubectl.run("delete labs --all").await.good();
    assert_eq!(kubectl.run("get labs -o name").await.good(), "");
    kubectl.run("delete lab a").await.bad("NotFound");
    kubectl.run("delete lab a --ignore-not-found").await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_creates_namespaces_and_asks_what_it_may() {
    let Some(kubectl) = Kubectl::start(20).await else { return };
    assert_eq!(kubectl.run("create namespace lab-a").await.good(), "namespace/lab-a created\n");
    assert!(kubectl.run("get ns").await.good().contains("Active"));
    // Namespaces are a kind that kubectl knows itself: it sends strategic merge patches.
    let namespace = |team: &str| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "lab-b", "labels": { "team": team } } });
    for (team, done) in [("a", "created"), ("b", "configured"), ("b", "unchanged")] {
        kubectl.file("namespace.json", &namespace(team));
        assert_eq!(kubectl.run("apply -f namespace.json").await.good(), format!("namespace/lab-b {done}\n"));
    }
    kubectl.run(r#"patch ns lab-b -p '{"metadata":{"labels":{"team":null,"x":"y"}}}'"#).await.good();
    assert_eq!(kubectl.run("get ns lab-b -o jsonpath={.metadata.labels.x}{.metadata.labels.team}").await.good(), "y");
    let made = kubectl.run("create clusterrole system:viewer --verb get,list --resource labs.lab.example.com").await;
    assert_eq!(made.good(), "clusterrole.rbac.authorization.k8s.io/system:viewer created\n");
    let rules = kubectl.run("get clusterrole system:viewer -o jsonpath={.rules[0].apiGroups[0]}").await.good();
    assert_eq!(rules, "lab.example.com");
    kubectl.run("create rolebinding viewers:labs --clusterrole system:viewer --user ann --group x").await.good();
    assert_eq!(kubectl.run("auth can-i create labs").await.good(), "yes\n");
    assert!(kubectl.run("auth can-i --list").await.good().contains("*.*"));
    if minor() >= Some(27) {
        assert!(kubectl.run("auth whoami").await.good().contains("system:anonymous"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_declares_kinds() {
    let Some(kubectl) = Kubectl::start(22).await else { return };
    let schema = json!({ "type": "object", "properties": { "spec": { "type": "object", "properties": { "n": { "type": "integer" } } } } });
    kubectl.file("crd.json", &json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "cars.shop.example.com" },
        "spec": {
            "group": "shop.example.com", "scope": "Namespaced", "names": { "plural": "cars", "singular": "car", "kind": "Car" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
        },
    }));
    kubectl.run("apply -f crd.json").await.good();
    kubectl.run("wait crd/cars.shop.example.com --for=condition=established --timeout=30s").await.good();
    kubectl.file(
        "car.json",
        &json!({ "apiVersion": "shop.example.com/v1", "kind": "Car", "metadata": { "name": "c" }, "spec": { "n": 1 } }),
    );
    kubectl.run("apply -f car.json").await.good();
    assert!(kubectl.run("get cars").await.good().contains("NAME"));
    kubectl.run("delete crd cars.shop.example.com").await.good();
}
