//! How `roa get` and its like reach objects: over TLS with a token, by a kubeconfig, and in Redis without a server.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;

use roa_server::auth::NewToken;
use roa_store_redis::test_util::RedisServer;
use secrecy::ExposeSecret;

use crate::client::{TEMPLATES, bad, free_port, good};
use crate::control_plane::Roa;
use crate::onlooker::Onlooker;
use crate::run::Place;

pub fn write_private(path: &Path, text: &str) {
    let mut file = std::fs::File::options().create_new(true).write(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

#[test]
fn a_server_with_tls_and_tokens_is_reached_by_the_kubeconfig_that_roa_prints() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("manifests")).unwrap();
    let token = NewToken::generate("ann", &["system:masters".to_owned()]).unwrap();
    write_private(&dir.path().join("tokens"), &format!("{}\n", token.line));
    write_private(&dir.path().join("token"), token.token.expose_secret());
    // Not one of those that every certificate is good for.
    let address = format!("127.0.0.2:{}", free_port());
    let variables = [
        ("ROA_SERVER__LISTEN", address.as_str()),
        ("ROA_SERVER__TLS__SELF_SIGNED", "true"),
        ("ROA_SERVER__AUTH__TOKENS_FILE", "tokens"),
    ];
    let dir = Rc::new(dir);
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = crate::control_plane::command(dir.path());
        command.args(arguments).env("ROA_DATA_DIR", "data").envs(variables.iter().copied());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        crate::run::Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    };
    bad(&run(&["kubeconfig"], &variables), 1, &["there is no certificate yet", "hint: `roa run` makes it"]);
    assert!(!dir.path().join("data/tls").exists(), "a client makes no certificate");
    let roa = Roa::start_in(Rc::clone(&dir), "data", &variables);
    roa.until("the API answers", || std::net::TcpStream::connect(&address).ok());
    roa.until("it is ready", || roa.ask("/readyz")?.starts_with("HTTP/1.1 200").then_some(()));

    let stranger = run(&["get", "labtemplates"], &variables);
    bad(&stranger, 1, &["Unauthorized", "hint: show who you are: --kubeconfig FILE"]);
    let printed = run(&["kubeconfig", "--token-file", "token", "--namespace", "labs"], &variables);
    std::fs::write(dir.path().join("kubeconfig"), good(&printed)).unwrap();
    std::fs::write(dir.path().join("templates.yaml"), TEMPLATES.replace("namespace: default", "namespace: labs"))
        .unwrap();
    let known = [("ROA_KUBECONFIG", "kubeconfig")];
    let applied = run(&["apply", "-f", "templates.yaml"], &known);
    assert!(good(&applied).contains("short created"), "{applied:?}");
    let named = run(&["get", "labtemplates", "-o", "name"], &known);
    assert_eq!(named.stdout.lines().count(), 2, "the namespace is that of the kubeconfig: {named:?}");
    // Another authority is not trusted.
    let elsewhere = run(&["get", "labtemplates", "--server", &format!("https://{address}")], &[]);
    bad(&elsewhere, 1, &["no server answers at https://"]);
    for ran in [&stranger, &applied, &named, &elsewhere] {
        assert!(!format!("{ran:?}").contains(token.token.expose_secret()));
    }
}

#[test]
fn of_two_processes_with_one_address_one_serves_the_api_and_the_other_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("manifests")).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let variables = [("ROA_SERVER__LISTEN", address.as_str()), ("ROA_STORE__SQLITE__PATH", "roa.db")];
    let dir = Rc::new(dir);
    let mut first = Roa::start_in(Rc::clone(&dir), "first", &variables);
    first.until("the API answers", || std::net::TcpStream::connect(&address).ok());
    let mut second = Roa::start_in(Rc::clone(&dir), "second", &variables);
    second.until("the second waits", || second.log().contains("another roa serves the API there").then_some(()));
    assert!(!second.log().contains("serving the API"));

    assert!(first.terminate().success());
    second.until("the second serves", || second.log().contains("serving the API").then_some(()));
    second.until("it answers", || std::net::TcpStream::connect(&address).ok());
    assert!(second.terminate().success());
}

#[test]
fn an_address_that_another_program_has_is_refused_with_a_hint() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = Rc::new(tempfile::tempdir().unwrap());
    std::fs::create_dir(dir.path().join("manifests")).unwrap();
    let mut roa = Roa::start_in(dir, "data", &[("ROA_SERVER__LISTEN", address.as_str())]);
    assert_eq!(roa.ended().code(), Some(1));
    assert!(roa.log().contains("hint: set `server.listen` to another address"), "{}", roa.log());
}

#[test]
fn a_token_is_not_sent_where_others_can_read_it() {
    let place = Place::empty().file("kubeconfig", r#"{"current-context":"a",
        "clusters":[{"name":"a","cluster":{"server":"http://192.0.2.1:80"}}],"users":[{"name":"a","user":{"token":"canary"}}],
        "contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}]}"#);
    let refused = place.roa(&["get", "labs", "--kubeconfig", "kubeconfig"]);
    bad(&refused, 1, &["a token is not sent to http://192.0.2.1:80, where others can read it; expected https"]);
    assert!(!refused.stderr.contains("canary"));
    bad(&place.roa(&["get", "labs", "--kubeconfig", "nowhere"]), 1, &["failed to read nowhere"]);
}

#[test]
fn objects_in_redis_are_shown_and_changed_without_a_server() {
    let server = RedisServer::start();
    let url = server.url();
    drop(Onlooker::open(&url));
    let place = Place::empty().variable("ROA_SERVER__LISTEN", "").variable("ROA_STORE__BACKEND", "redis");
    let place = place.variable("ROA_STORE__REDIS__URL", &url).file("templates.yaml", TEMPLATES);
    assert!(good(&place.roa(&["apply", "-f", "templates.yaml"])).contains("short created"));
    let named = place.roa(&["get", "labtemplates", "-o", "name"]);
    assert_eq!(good(&named).lines().count(), 2);
    good(&place.roa(&["delete", "labtemplates", "--all"]));
    assert_eq!(good(&place.roa(&["get", "labtemplates", "-o", "name"])), "");
}
