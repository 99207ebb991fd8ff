//! The API on a Unix socket.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use crate::client::{TEMPLATES, bad, good};
use crate::control_plane::{Roa, command};
use crate::run::{Place, Ran};

const LISTEN: (&str, &str) = ("ROA_SERVER__LISTEN", "unix:sockets/api.sock");

fn start(dir: &Rc<tempfile::TempDir>, data: &'static str) -> Roa {
    let variables = [LISTEN, ("ROA_STORE__SQLITE__PATH", "roa.db"), ("ROA_NAMESPACES__STRICT", "true")];
    Roa::start_in(Rc::clone(dir), data, &variables)
}

fn roa(dir: &tempfile::TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = command(dir.path());
    // With another data directory, nothing but the server can have told it.
    command.args(arguments).env("ROA_DATA_DIR", "elsewhere").envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn t19_a_unix_socket_serves_its_owner_alone_and_every_command_reaches_it() {
    let dir = Rc::new(tempfile::tempdir().unwrap());
    std::fs::create_dir(dir.path().join("manifests")).unwrap();
    std::fs::write(dir.path().join("templates.yaml"), TEMPLATES).unwrap();
    let socket = dir.path().join("sockets/api.sock");
    let mut first = start(&dir, "first");
    first.until("the API answers", || UnixStream::connect(&socket).ok());
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));

    let namespaces = roa(&dir, &["get", "namespaces", "-o", "name"], &[LISTEN]);
    assert_eq!(good(&namespaces), "namespace/default\n", "it is there from the start");
    let named = ["--server", "unix:sockets/api.sock"];
    let applied = roa(&dir, &[&["apply", "-f", "templates.yaml"], &named[..]].concat(), &[]);
    assert!(good(&applied).contains("short created"), "{applied:?}");
    let by_variable = roa(&dir, &["get", "labtemplates", "-o", "name"], &[("ROA_SERVER", "unix:sockets/api.sock")]);
    assert_eq!(good(&by_variable).lines().count(), 2);
    let by_configuration = roa(&dir, &["get", "labtemplates", "-o", "name"], &[LISTEN]);
    assert_eq!(by_configuration.stdout, by_variable.stdout);
    bad(&roa(&dir, &["kubeconfig"], &[LISTEN]), 1, &["kubectl reaches no Unix socket", "hint: "]);

    let mut second = start(&dir, "second");
    second.until("the second waits", || second.log().contains("another roa serves the API there").then_some(()));
    assert!(first.terminate().success(), "{}", first.log());
    second.until("the second serves", || second.log().contains("serving the API").then_some(()));
    let taken_over = roa(&dir, &["get", "labtemplates", "-o", "name"], &[LISTEN]);
    assert_eq!(taken_over.stdout, by_variable.stdout);
    assert!(second.terminate().success() && !socket.exists(), "{}", second.log());
}

#[test]
fn an_address_that_is_none_says_what_was_expected() {
    for wrong in ["unix:", "localhost", "/run/roa.sock"] {
        let refusal = Place::with_config(&format!("[server]\nlisten = {wrong:?}\n")).refusal();
        assert!(refusal.contains("server.listen: expected an address and a port"), "{refusal}");
        assert!(refusal.contains("\"unix:roa.sock\""), "{refusal}");
    }
}
