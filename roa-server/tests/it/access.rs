//! Who may do what: tokens, roles, impersonation, and what is kept of it.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use roa_core::Clock;
use roa_runtime::{SystemClock, Tasks};
use roa_server::ApiConfig;
use roa_server::ApiSecurity;
use roa_server::audit::{AuditConfig, AuditLog, AuditMetrics};
use roa_server::auth::{AuthConfig, AuthMetrics, Authenticator, MASTERS, NewToken, Rbac};
use roa_server::tls::TlsConfig;
use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{BOUND, LABS, Reply, Server, lab};

pub fn write_private(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

/// A server that knows two users by their tokens: one may do everything, the other what roles say.
pub struct Guarded {
    pub server: Server,
    pub admin: String,
    pub alice: String,
    pub audit: AuditLog,
    pub home: TempDir,
    authenticator: Arc<Authenticator>,
    /// The line of the token file that is not alice's.
    others: String,
    /// Follows the roles, until the end of the test.
    _roles: Tasks,
}

impl Guarded {
    pub async fn start() -> Self {
        Self::with(ApiConfig::default()).await
    }

    pub async fn with(config: ApiConfig) -> Self {
        let home = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let admin = NewToken::generate("root", &[MASTERS.to_owned()]).unwrap();
        let alice = NewToken::generate("alice", &["dev".to_owned()]).unwrap();
        let tokens = home.path().join("tokens");
        write_private(&tokens, &format!("{}\n{}\n", admin.line, alice.line));
        let mut auth = AuthConfig::default();
        auth.tokens_file = Some(tokens);
        let authenticator =
            Authenticator::open(&auth, &TlsConfig::default(), Arc::clone(&clock), AuthMetrics::default()).unwrap();
        let authenticator = Arc::new(authenticator);
        let mut audit = AuditConfig::default();
        audit.path = Some(home.path().join("audit.log"));
        let audit = AuditLog::open(&audit, Arc::clone(&clock), AuditMetrics::default()).unwrap().unwrap();
        let roles = Rbac::new();
        let security = ApiSecurity::open()
            .authenticated_by(Arc::clone(&authenticator))
            .authorized_by(roles.clone())
            .audited_by(audit.clone());
        let server = Server::secured(config, security).await;
        let (tasks, follower, hub) = (Tasks::new("roles", 1), roles.clone(), server.hub.clone());
        tasks.spawn("roles", async move { follower.run(&hub, &*clock).await.unwrap() }).unwrap();
        timeout(BOUND, roles.ready()).await.unwrap();
        let bearer = |token: &NewToken| format!("Bearer {}", token.token.expose_secret());
        let (admin_header, alice) = (bearer(&admin), bearer(&alice));
        let others = admin.line;
        Self { server, admin: admin_header, alice, audit, home, authenticator, others, _roles: tasks }
    }

    /// Takes alice's token back.
    pub fn forget_alice(&self) {
        let new = self.home.path().join("new");
        write_private(&new, &self.others);
        std::fs::rename(&new, self.home.path().join("tokens")).unwrap();
        assert!(self.authenticator.refresh_tokens().unwrap());
    }

    pub async fn send(&self, who: &str, method: &str, path: &str, body: &Json) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.server.send(method, path, &[("authorization", who)], &body).await
    }
}

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/school";

fn role(verbs: &[&str]) -> Json {
    let rule = json!({ "apiGroups": ["lab.example.com"], "resources": ["labs"], "verbs": verbs });
    json!({ "metadata": { "name": "labs" }, "rules": [rule] })
}

#[tokio::test(flavor = "multi_thread")]
async fn t1_who_is_not_known_is_let_in_nowhere() {
    let guarded = Guarded::start().await;
    for who in ["", "Bearer wrong", "Basic x"] {
        let refused = guarded.send(who, "GET", LABS, &Json::Null).await;
        assert_eq!((refused.status, &refused.json()["reason"]), (401, &json!("Unauthorized")), "{who}");
        assert!(refused.head.contains("www-authenticate: bearer"), "{}", refused.head);
    }
    assert_eq!(guarded.server.get("/readyz").await.status, 200, "a probe shows nothing");
    assert_eq!(guarded.server.get("/metrics").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_say_what_may_be_done_from_the_moment_that_they_are_written() {
    let guarded = Guarded::start().await;
    let refused = guarded.send(&guarded.alice, "GET", LABS, &Json::Null).await;
    let expected = "labs.lab.example.com is forbidden: User \"alice\" cannot list resource \"labs\" in API group \"lab.example.com\" in the namespace \"school\"";
    assert_eq!((refused.status, refused.json()["message"].as_str().unwrap()), (403, expected));
    let made = guarded.send(&guarded.admin, "POST", &format!("{ROLES}/roles"), &role(&["get", "list"])).await;
    assert_eq!(made.status, 201, "{made:?}");
    let binding = json!({
        "metadata": { "name": "alice" }, "subjects": [{ "kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io" }],
        "roleRef": { "kind": "Role", "name": "labs", "apiGroup": "rbac.authorization.k8s.io" },
    });
    let bound = guarded.send(&guarded.admin, "POST", &format!("{ROLES}/rolebindings"), &binding).await;
    assert_eq!(bound.status, 201, "{bound:?}");
    assert_eq!(guarded.send(&guarded.alice, "GET", LABS, &Json::Null).await.status, 200);
    assert_eq!(guarded.send(&guarded.alice, "POST", LABS, &lab("a")).await.status, 403);
    let review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let ask = |verb: &str| json!({ "spec": { "resourceAttributes": { "group": "lab.example.com", "resource": "labs", "verb": verb, "namespace": "school" } } });
    assert_eq!(guarded.send(&guarded.alice, "POST", review, &ask("list")).await.json()["status"]["allowed"], true);
    assert_eq!(guarded.send(&guarded.alice, "POST", review, &ask("delete")).await.json()["status"]["allowed"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn t2_nobody_gives_what_they_do_not_have() {
    let guarded = Guarded::start().await;
    let rule = json!({ "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"] });
    let writer = json!({ "metadata": { "name": "writer" }, "rules": [rule] });
    guarded.send(&guarded.admin, "POST", &format!("{ROLES}/roles"), &writer).await;
    let binding = json!({
        "metadata": { "name": "writer" }, "subjects": [{ "kind": "Group", "name": "dev", "apiGroup": "rbac.authorization.k8s.io" }],
        "roleRef": { "kind": "Role", "name": "writer", "apiGroup": "rbac.authorization.k8s.io" },
    });
    guarded.send(&guarded.admin, "POST", &format!("{ROLES}/rolebindings"), &binding).await;
    let refused = guarded.send(&guarded.alice, "POST", &format!("{ROLES}/roles"), &role(&["get"])).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("not currently held"), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn t23_writes_are_kept_with_who_and_whether() {
    let guarded = Guarded::start().await;
    guarded.send(&guarded.admin, "POST", LABS, &lab("a")).await;
    guarded.send(&guarded.alice, "DELETE", &format!("{LABS}/a"), &Json::Null).await;
    guarded.send(&guarded.admin, "GET", LABS, &Json::Null).await;
    guarded.audit.flush().await;
    let text = std::fs::read_to_string(guarded.home.path().join("audit.log")).unwrap();
    let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "reads are not kept: {text}");
    assert_eq!(
        (&lines[0]["user"]["name"], &lines[0]["code"], &lines[0]["object"]["name"]),
        (&json!("root"), &json!(201), &json!("a"))
    );
    assert_eq!((&lines[1]["user"]["name"], &lines[1]["decision"]), (&json!("alice"), &json!("deny")));
    assert!(!text.contains("roa_") && !text.contains("Bearer"), "t14: no token");
}

#[tokio::test(flavor = "multi_thread")]
async fn t9_one_user_takes_no_more_than_its_share() {
    let mut config = ApiConfig::default();
    config.limits.watches_per_user = 1;
    let guarded = Guarded::with(config).await;
    let watch =
        format!("GET {LABS}?watch=true HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\n\r\n", guarded.admin);
    let mut first = TcpStream::connect(guarded.server.address).await.unwrap();
    first.write_all(watch.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    timeout(BOUND, first.read_exact(&mut head)).await.unwrap().unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let second = guarded.send(&guarded.admin, "GET", &format!("{LABS}?watch=true"), &Json::Null).await;
    assert!(second.status == 429 && second.head.contains("retry-after: 1"), "{second:?}");
    assert_eq!(guarded.send(&guarded.admin, "GET", LABS, &Json::Null).await.status, 200, "it may do other things");
    drop(first);
}
