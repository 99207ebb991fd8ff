//! Roles against a naive model, escalation, and the authorizer over a real store.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use roa_core::lifecycle::{DeleteOptions, FieldValidation};
use roa_core::{Clock, DynamicObject, Key, KindRegistry, Metadata, ResourceStore, SystemRandom};
use roa_runtime::{HubConfig, SystemClock, WatchHub};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde_json::{Value as Json, json};

use super::objects::{RBAC_GROUP, RbacKind};
use super::policy::Policy;
use super::{Rbac, Rule, compare, create_default_roles, escalation, rbac_kinds};
use crate::auth::{Attributes, Authorizer, Decision, MASTERS, ResourceTarget, User};

pub(super) fn object(kind: RbacKind, namespace: &str, name: &str, body: &Json) -> DynamicObject {
    let namespaced = matches!(kind, RbacKind::Role | RbacKind::RoleBinding);
    DynamicObject {
        api_version: format!("{RBAC_GROUP}/v1"),
        kind: kind.name().to_owned(),
        metadata: Metadata::named(if namespaced { namespace } else { "" }, name),
        other_metadata: serde_json::Map::new(),
        body: body.as_object().unwrap().clone(),
    }
}

fn role(kind: RbacKind, namespace: &str, name: &str, rules: &[Rule]) -> DynamicObject {
    object(kind, namespace, name, &json!({ "rules": rules }))
}

/// A binding of users (`u…`), groups (`g…`) and service accounts (`s…`, of the namespace `sa`).
fn binding(kind: RbacKind, namespace: &str, name: &str, to: (RbacKind, &str), bearers: &[&str]) -> DynamicObject {
    let subject = |bearer: &&str| match bearer.as_bytes()[0] {
        b'u' => json!({"kind": "User", "apiGroup": RBAC_GROUP, "name": bearer}),
        b'g' => json!({"kind": "Group", "apiGroup": RBAC_GROUP, "name": bearer}),
        _ => json!({"kind": "ServiceAccount", "namespace": "sa", "name": bearer}),
    };
    let subjects: Vec<Json> = bearers.iter().map(subject).collect();
    let to = json!({"apiGroup": RBAC_GROUP, "kind": to.0.name(), "name": to.1});
    object(kind, namespace, name, &json!({"roleRef": to, "subjects": subjects}))
}

fn change(policy: &mut Policy, object: &DynamicObject, there: bool) {
    let kind = RbacKind::of(object).unwrap();
    let key = Key::new(RBAC_GROUP, kind.plural(), &object.metadata.namespace, &object.metadata.name).unwrap();
    policy.changed(kind, &key, there.then_some(object));
}

fn policy(objects: &[DynamicObject]) -> Policy {
    let mut policy = Policy::default();
    objects.iter().for_each(|object| change(&mut policy, object, true));
    policy
}

fn labs(verb: &'static str, namespace: &'static str) -> Attributes<'static> {
    let target = ResourceTarget { group: "lab", resource: "labs", namespace, ..ResourceTarget::default() };
    Attributes::resource(verb, target)
}

fn user(name: &str, groups: &[&str]) -> User {
    User::new(name, groups.iter().copied())
}

fn read_labs() -> Rule {
    Rule::on_resources(&["get", "list"], &["lab"], &["labs"])
}

#[test]
fn t2_a_role_holds_where_and_for_whom_it_is_bound() {
    let policy = policy(&[
        role(RbacKind::Role, "school", "reader", &[read_labs()]),
        role(RbacKind::ClusterRole, "", "reader", &[read_labs()]),
        binding(RbacKind::RoleBinding, "school", "a", (RbacKind::Role, "reader"), &["u1", "s1"]),
        binding(RbacKind::RoleBinding, "home", "b", (RbacKind::ClusterRole, "reader"), &["g1"]),
        binding(RbacKind::RoleBinding, "home", "c", (RbacKind::Role, "reader"), &["u2"]),
        binding(RbacKind::ClusterRoleBinding, "", "d", (RbacKind::ClusterRole, "reader"), &["u3"]),
    ]);
    let table = [
        (user("u1", &[]), "school", true),
        (user("u1", &[]), "home", false),
        (user("u1", &[]), "", false),
        (user("system:serviceaccount:sa:s1", &[]), "school", true),
        (user("s1", &[]), "school", false),
        (user("u9", &["g1"]), "home", true),
        (user("g1", &["u1"]), "home", false),
        (user("u2", &[]), "home", false),
        (user("u3", &[]), "anywhere", true),
        (user("u3", &[]), "", true),
        (user("u9", &[MASTERS]), "", true),
        (User::anonymous(), "school", false),
    ];
    for (user, namespace, allowed) in table {
        let decision = policy.authorize(&user, &labs("list", namespace));
        assert_eq!(decision.is_allowed(), allowed, "{} {namespace}", user.name);
        assert_eq!(policy.authorize(&user, &labs("delete", namespace)).is_allowed(), user.is_in(MASTERS));
        let listed = policy.rules(&user, namespace).iter().any(|rule| rule.allows(&labs("list", namespace)));
        assert_eq!(listed, allowed, "what can-i lists is what holds");
    }
    let reason = policy.authorize(&user("u1", &[]), &labs("get", "school"));
    assert_eq!(reason.reason(), "RBAC: allowed by RoleBinding \"school/a\" of Role \"reader\"");
}

#[test]
fn what_everybody_may_do_needs_no_role() {
    let policy = Policy::default();
    let may = |user: &User, verb, path| policy.authorize(user, &Attributes::path(verb, path)).is_allowed();
    let (alice, nobody) = (user("alice", &[]), User::anonymous());
    assert!(may(&nobody, "get", "/readyz") && may(&nobody, "get", "/livez/store") && may(&nobody, "get", "/version"));
    assert!(!may(&nobody, "get", "/apis") && !may(&nobody, "get", "/metrics") && !may(&nobody, "post", "/readyz"));
    assert!(may(&alice, "get", "/apis/lab/v1") && may(&alice, "get", "/openapi/v3") && !may(&alice, "get", "/metrics"));
    let ask = ResourceTarget {
        group: "authorization.k8s.io",
        resource: "selfsubjectaccessreviews",
        ..ResourceTarget::default()
    };
    assert!(policy.authorize(&alice, &Attributes::resource("create", ask)).is_allowed());
}

#[test]
fn a_role_that_aggregates_has_the_rules_of_those_it_selects_as_they_are_now() {
    let labelled = |name: &str, label: &str, rules: &[Rule], selects: &str| {
        let mut role = role(RbacKind::ClusterRole, "", name, rules);
        role.metadata.labels.insert(label.to_owned(), "true".to_owned());
        if !selects.is_empty() {
            let selectors = json!({"clusterRoleSelectors": [{"matchLabels": {selects: "true"}}]});
            role.body.insert("aggregationRule".to_owned(), selectors);
        }
        role
    };
    let write = Rule::on_resources(&["create"], &["lab"], &["labs"]);
    let part = labelled("part", "to-edit", &[write], "");
    let mut policy = policy(&[
        labelled("admin", "none", &[], "to-admin"),
        labelled("edit", "to-admin", &[read_labs()], "to-edit"),
        part.clone(),
        labelled("circle", "to-edit", &[], "to-admin"),
        binding(RbacKind::ClusterRoleBinding, "", "a", (RbacKind::ClusterRole, "admin"), &["u1"]),
    ]);
    let may = |policy: &Policy, verb| policy.authorize(&user("u1", &[]), &labs(verb, "x")).is_allowed();
    assert!(may(&policy, "create") && may(&policy, "get") && !may(&policy, "delete"));
    change(&mut policy, &part, false);
    assert!(!may(&policy, "create") && may(&policy, "get"));
}

fn escalation(objects: &[DynamicObject], who: &User, after: &DynamicObject) -> Result<(), String> {
    escalation::check(&policy(objects), who, None, after).map_err(|refusal| refusal.message)
}

#[test]
fn t2_nobody_gives_what_they_do_not_have() {
    let alice = user("u1", &[]);
    let has = [
        role(RbacKind::Role, "school", "reader", &[read_labs()]),
        binding(RbacKind::RoleBinding, "school", "a", (RbacKind::Role, "reader"), &["u1"]),
        role(RbacKind::ClusterRole, "", "master", &[Rule::everything()]),
    ];
    let new = |namespace: &str, rule: Rule| role(RbacKind::Role, namespace, "new", &[rule]);
    let get = |resources: &[&str]| Rule::on_resources(&["get"], &["lab"], resources);
    let named = Rule { resource_names: vec!["x".into()], ..get(&["labs"]) };
    for (role, allowed) in [
        (new("school", get(&["labs"])), true),
        (new("school", named), true),
        (new("school", get(&["labs", "labs/status"])), false),
        (new("school", get(&["*"])), false),
        (new("school", Rule::on_resources(&["*"], &["lab"], &["labs"])), false),
        (new("school", Rule::on_resources(&["get"], &["*"], &["labs"])), false),
        (new("home", get(&["labs"])), false),
    ] {
        let outcome = escalation(&has, &alice, &role);
        assert_eq!(outcome.is_ok(), allowed, "{outcome:?}");
        assert!(escalation(&has, &user("x", &[]), &role).is_err());
    }
    let message = escalation(&has, &alice, &new("school", get(&["pools"]))).unwrap_err();
    assert!(message.contains("attempting to grant RBAC permissions not currently held"), "{message}");
    assert!(
        message.contains("Resources:[\"pools\"]") && message.starts_with("roles.rbac.authorization.k8s.io \"new\"")
    );

    let bind = |to, name| binding(RbacKind::RoleBinding, "school", "new", (to, name), &["u1"]);
    assert!(escalation(&has, &alice, &bind(RbacKind::Role, "reader")).is_ok());
    assert!(escalation(&has, &alice, &bind(RbacKind::ClusterRole, "master")).is_err());
    let later = escalation(&has, &alice, &bind(RbacKind::Role, "later")).unwrap_err();
    assert!(later.contains("not found"), "a role that comes later could hold anything: {later}");
}

#[test]
fn t2_the_verbs_escalate_and_bind_let_a_user_give_more() {
    let grant = |verb: &str, resource: &str| {
        let rule = Rule::on_resources(&[verb], &[RBAC_GROUP], &[resource]);
        [
            role(RbacKind::ClusterRole, "", "special", &[rule]),
            role(RbacKind::ClusterRole, "", "master", &[Rule::everything()]),
            binding(RbacKind::ClusterRoleBinding, "", "a", (RbacKind::ClusterRole, "special"), &["u1"]),
        ]
    };
    let alice = user("u1", &[]);
    let everything = role(RbacKind::ClusterRole, "", "new", &[Rule::everything()]);
    assert!(escalation(&grant("escalate", "clusterroles"), &alice, &everything).is_ok());
    assert!(escalation(&grant("escalate", "roles"), &alice, &everything).is_err());
    let bound = binding(RbacKind::ClusterRoleBinding, "", "new", (RbacKind::ClusterRole, "master"), &["u1"]);
    assert!(escalation(&grant("bind", "clusterroles"), &alice, &bound).is_ok());
    assert!(escalation(&grant("escalate", "clusterroles"), &alice, &bound).is_err());
}

#[test]
fn t2_a_change_of_labels_is_checked_and_one_of_annotations_is_not() {
    let policy = policy(&[]);
    let before = role(RbacKind::ClusterRole, "", "a", &[Rule::everything()]);
    let mut after = before.clone();
    after.metadata.annotations.insert("a".into(), "b".into());
    let check = |after: &DynamicObject| escalation::check(&policy, &user("u1", &[]), Some(&before), after);
    assert!(check(&after).is_ok());
    after.metadata.labels.insert("rbac.authorization.k8s.io/aggregate-to-edit".into(), "true".into());
    assert!(check(&after).is_err(), "else its rules would join another role");
}

#[test]
fn t2_a_role_of_very_many_permissions_is_refused_rather_than_compared() {
    let many: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let rule = Rule { verbs: many.clone(), api_groups: many.clone(), resources: many, ..Rule::default() };
    let error = escalation(&[], &user("u1", &[]), &role(RbacKind::ClusterRole, "", "a", &[rule])).unwrap_err();
    assert!(error.contains("can't be compared"), "{error}");
}

/// What the model knows: objects as they are, looked through one by one.
fn model(objects: &[DynamicObject], who: &User, attributes: &Attributes<'_>, target: &ResourceTarget<'_>) -> bool {
    let holds = |binding: &DynamicObject| {
        let subjects = binding.body["subjects"].as_array().unwrap();
        let for_user = subjects.iter().any(|subject| {
            let name = subject["name"].as_str().unwrap();
            match subject["kind"].as_str().unwrap() {
                "User" => who.name == name,
                "Group" => who.groups.iter().any(|group| group == name),
                _ => who.name == format!("system:serviceaccount:sa:{name}"),
            }
        });
        let namespace = &binding.metadata.namespace;
        for_user && (namespace.is_empty() || namespace == target.namespace)
    };
    let refers = |binding: &DynamicObject, role: &DynamicObject| {
        let to = &binding.body["roleRef"];
        let place = role.kind == "ClusterRole" || role.metadata.namespace == binding.metadata.namespace;
        to["kind"] == role.kind && to["name"] == role.metadata.name && place
    };
    let text = |list: &Json, name: &str, wanted: &str| {
        list.get(name).and_then(Json::as_array).is_some_and(|list| list.iter().any(|own| own == "*" || own == wanted))
    };
    let allows = |rule: &Json| {
        let whole = if target.subresource.is_empty() {
            target.resource.to_owned()
        } else {
            format!("{}/{}", target.resource, target.subresource)
        };
        let every = format!("*/{}", target.subresource);
        let resource = text(rule, "resources", &whole)
            || (!target.subresource.is_empty()
                && rule["resources"].as_array().unwrap().iter().any(|own| *own == every));
        let names = rule.get("resourceNames").and_then(Json::as_array);
        let named = names.is_none_or(|names| names.iter().any(|name| name == target.name));
        text(rule, "verbs", attributes.verb) && text(rule, "apiGroups", target.group) && resource && named
    };
    let bindings = objects.iter().filter(|object| object.kind.ends_with("Binding")).filter(|binding| holds(binding));
    let mut roles = bindings.flat_map(|binding| {
        objects.iter().filter(|object| object.kind.ends_with("Role")).filter(move |role| refers(binding, role))
    });
    roles.any(|role| role.body["rules"].as_array().unwrap().iter().any(allows))
}

fn some(of: &'static [&'static str], least: usize) -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(of, least..=of.len().min(2))
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let resources = &["*", "labs", "labs/status", "*/scale", "pools"];
    (some(&["*", "get", "list", "create"], 1), some(&["*", "", "lab"], 1), some(resources, 1), some(&["x", "y"], 0))
        .prop_map(|(verbs, groups, resources, names)| Rule {
            resource_names: names.into_iter().map(String::from).collect(),
            ..Rule::on_resources(&verbs, &groups, &resources)
        })
}

fn any_object() -> impl Strategy<Value = DynamicObject> {
    let kind = select(&RbacKind::ALL[..]);
    let names = (select(&["n1", "n2"][..]), select(&["a", "b", "c"][..]), select(&["a", "b", "c"][..]));
    let parts =
        (kind, names, proptest::collection::vec(any_rule(), 0..3), some(&["u1", "u2", "g1", "s1"], 0), any::<bool>());
    parts.prop_map(|(kind, (namespace, name, to), rules, bearers, cluster)| match kind {
        RbacKind::Role | RbacKind::ClusterRole => role(kind, namespace, name, &rules),
        RbacKind::RoleBinding if !cluster => binding(kind, namespace, name, (RbacKind::Role, to), &bearers),
        _ => binding(kind, namespace, name, (RbacKind::ClusterRole, to), &bearers),
    })
}

fn any_user() -> impl Strategy<Value = User> {
    let name = select(&["u1", "u2", "u3", "system:serviceaccount:sa:s1"][..]);
    (name, some(&["g1", "g2"], 0)).prop_map(|(name, groups)| User::new(name, groups))
}

fn any_target() -> impl Strategy<Value = (&'static str, ResourceTarget<'static>)> {
    let place = (select(&["", "n1", "n2"][..]), select(&["", "x", "y"][..]));
    let what =
        (select(&["", "lab", "other"][..]), select(&["labs", "pools"][..]), select(&["", "status", "scale"][..]));
    (select(&["get", "list", "create", "delete"][..]), what, place).prop_map(
        |(verb, (group, resource, subresource), (namespace, name))| {
            (verb, ResourceTarget { group, resource, subresource, namespace, name })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn t2_roles_that_come_change_and_go_allow_what_the_naive_model_allows(
        changes in proptest::collection::vec((any_object(), any::<prop::sample::Index>()), 1..24),
        asked in proptest::collection::vec((any_user(), any_target()), 8),
    ) {
        let same = |one: &DynamicObject, other: &DynamicObject| {
            one.kind == other.kind
                && (&one.metadata.namespace, &one.metadata.name) == (&other.metadata.namespace, &other.metadata.name)
        };
        let (mut policy, mut objects) = (Policy::default(), Vec::<DynamicObject>::new());
        for (object, chance) in changes {
            objects.retain(|known| !same(known, &object));
            // One in four goes.
            let there = chance.index(4) > 0;
            change(&mut policy, &object, there);
            if there {
                objects.push(object);
            }
        }
        for (user, (verb, target)) in &asked {
            let attributes = Attributes::resource(verb, *target);
            let allowed = policy.authorize(user, &attributes).is_allowed();
            prop_assert_eq!(allowed, model(&objects, user, &attributes, target), "{:?} {}", user, attributes);
        }
    }

    #[test]
    fn t2_what_a_rule_that_is_covered_allows_the_cover_allows(
        held in proptest::collection::vec(any_rule(), 0..4),
        given in any_rule(),
        asked in proptest::collection::vec(any_target(), 32),
    ) {
        let covered = compare::missing(&held, std::slice::from_ref(&given)).is_ok();
        for (verb, target) in asked {
            let attributes = Attributes::resource(verb, target);
            if covered && given.allows(&attributes) {
                prop_assert!(held.iter().any(|rule| rule.allows(&attributes)), "{} by {:?}", attributes, given);
            }
        }
        prop_assert!(compare::missing(std::slice::from_ref(&given), std::slice::from_ref(&given)).is_ok());
    }
}

struct World {
    resources: ResourceStore,
    hub: WatchHub,
    clock: Arc<SystemClock>,
}

impl World {
    async fn new() -> Self {
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
        let lab = roa_core::KindDescriptor::dynamic("lab", "v1", "Lab", "labs", roa_core::Scope::Namespaced);
        let kinds = rbac_kinds().into_iter().fold(KindRegistry::new().with_kind(lab), KindRegistry::with_kind);
        let resources = ResourceStore::new(store.clone(), Arc::new(kinds), clock.clone(), random, "test");
        let hub = WatchHub::start(store, clock.clone(), HubConfig::default()).await.unwrap();
        Self { resources, hub, clock }
    }

    async fn seen(&self, rbac: &Rbac, object: &DynamicObject) {
        let deadline = self.clock.monotonic() + Duration::from_secs(10);
        rbac.wait_for(object, &*self.clock, deadline).await.unwrap();
    }

    async fn story(&self, rbac: &Rbac) {
        rbac.ready().await;
        let alice = user("u1", &[]);
        assert!(matches!(rbac.authorize(&alice, &labs("get", "school")), Decision::Deny(_)));
        assert_eq!(create_default_roles(&self.resources, &[]).await.unwrap(), 5);
        assert_eq!(create_default_roles(&self.resources, &[]).await.unwrap(), 0, "once");
        let grant = binding(RbacKind::RoleBinding, "school", "a", (RbacKind::ClusterRole, "edit"), &["u1"]);
        let grant = self.resources.create(grant, FieldValidation::Strict).await.unwrap();
        self.seen(rbac, &grant).await;
        for (verb, namespace, allowed) in
            [("create", "school", true), ("create", "home", false), ("watch", "school", true)]
        {
            assert_eq!(rbac.authorize(&alice, &labs(verb, namespace)).is_allowed(), allowed);
        }
        let more = binding(RbacKind::RoleBinding, "school", "b", (RbacKind::ClusterRole, "admin"), &["u1"]);
        assert!(rbac.check_write(&alice, None, &more).is_err());
        assert!(rbac.check_write(&user("root", &[MASTERS]), None, &more).is_ok());
        let key = Key::new(RBAC_GROUP, "rolebindings", "school", "a").unwrap();
        self.resources.delete(&key, &DeleteOptions::default()).await.unwrap();
        let after = binding(RbacKind::RoleBinding, "school", "c", (RbacKind::ClusterRole, "view"), &["u2"]);
        self.seen(rbac, &self.resources.create(after, FieldValidation::Strict).await.unwrap()).await;
        assert!(!rbac.authorize(&alice, &labs("create", "school")).is_allowed());
    }
}

#[tokio::test]
async fn t2_what_is_bound_in_the_store_holds_from_the_next_request_on() {
    let (world, rbac) = (World::new().await, Rbac::new());
    let root = user("root", &[MASTERS]);
    assert_eq!(rbac.authorize(&user("u1", &[]), &labs("get", "school")), Decision::NotReady);
    assert!(rbac.authorize(&root, &labs("get", "school")).is_allowed(), "the operator needs no roles");
    tokio::select! {
        outcome = rbac.run(&world.hub, &*world.clock) => panic!("following ended: {outcome:?}"),
        () = world.story(&rbac) => {}
    }
}

#[tokio::test]
async fn default_roles_get_what_they_lack_unless_they_are_to_stay() {
    let world = World::new().await;
    create_default_roles(&world.resources, &[]).await.unwrap();
    let key = Key::new(RBAC_GROUP, "clusterroles", "", "view").unwrap();
    let mut view = world.resources.get(&key).await.unwrap();
    view.body.insert("rules".into(), json!([Rule::on_resources(&["get"], &["extra"], &["things"])]));
    world.resources.update(view, FieldValidation::Strict).await.unwrap();
    assert_eq!(create_default_roles(&world.resources, &[]).await.unwrap(), 1);
    let rules = world.resources.get(&key).await.unwrap().body["rules"].to_string();
    assert!(rules.contains("things") && rules.contains("labs/status"), "{rules}");
    let mut view = world.resources.get(&key).await.unwrap();
    view.body.insert("rules".into(), json!([]));
    view.metadata.annotations.insert("rbac.authorization.kubernetes.io/autoupdate".into(), "false".into());
    world.resources.update(view, FieldValidation::Strict).await.unwrap();
    assert_eq!(create_default_roles(&world.resources, &[]).await.unwrap(), 0);
}
