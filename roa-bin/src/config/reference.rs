//! The commented `roa.toml` is the reference of the configuration: these tests keep it complete and true.

use std::path::Path;

use super::keys::KEYS;
use super::settings::Config;
use super::{ConfigFile, Flags, Inputs, Loaded, load};

const REFERENCE: &str = include_str!("../../roa.toml");

fn load_text(text: &str) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("roa.toml");
    std::fs::write(&path, text).unwrap();
    load(Inputs { file: ConfigFile::Named(path), variables: vec![], flags: Flags::default() }).unwrap()
}

/// The reference with its commented keys switched on.
fn complete() -> String {
    REFERENCE
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#'])).unwrap_or(line).to_owned() + "\n"
        })
        .collect()
}

#[test]
fn the_reference_is_the_defaults() {
    assert_eq!(load_text(REFERENCE).config, Config::default());
}

#[test]
fn the_reference_sets_every_key_that_depends_on_nothing() {
    let set = load_text(REFERENCE).sources;
    let unset: Vec<_> = KEYS.iter().map(|key| key.path).filter(|path| !set.contains_key(path)).collect();
    let expected = [
        "store.sqlite.path",
        "store.redis.username",
        "store.redis.password",
        "store.redis.password_file",
        "store.redis.sentinels",
        "store.redis.ca_file",
        "store.redis.cert_file",
        "store.redis.key_file",
        "admin.socket",
        "server.tls.cert_file",
        "server.tls.key_file",
        "server.tls.client_ca_file",
        "server.auth.tokens_file",
        "server.auth.oidc.issuer",
        "server.auth.oidc.audience",
        "server.auth.oidc.jwks_file",
        "server.auth.oidc.jwks_url",
        "server.auth.oidc.ca_file",
        "server.auth.oidc.username_claim",
        "server.auth.oidc.username_prefix",
        "server.auth.oidc.groups_claim",
        "server.auth.oidc.groups_prefix",
        "server.audit.path",
        "cloudevents.path",
        "cloudevents.url",
        "lab.poll_interval",
        "lab.sweep_interval",
        "lab.concurrency.labs",
        "lab.concurrency.workers",
        "lab.concurrency.pools",
        "lab.worker.cpu",
        "lab.worker.memory",
        "lab.worker.max_labs",
    ];
    assert_eq!(unset, expected);
}

#[test]
fn the_reference_shows_every_other_key_behind_a_comment_at_its_default() {
    // An issuer's keys come from one place: of its two keys for that, one.
    let Loaded { config, sources } = load_text(&complete().replace("jwks_file = ", "#jwks_file = "));
    assert_eq!(sources.len(), KEYS.len() - 1);
    assert!(complete().contains("\njwks_file = "));
    let mut expected = Config::default();
    expected.lab.worker = config.lab.worker.clone();
    expected.lab.concurrency = config.lab.concurrency.clone();
    let (redis, given) = (&mut expected.store.redis, &config.store.redis);
    (redis.username, redis.password) = (given.username.clone(), given.password.clone());
    (redis.password_file, redis.sentinels) = (given.password_file.clone(), given.sentinels.clone());
    (redis.ca_file, redis.cert_file, redis.key_file) =
        (given.ca_file.clone(), given.cert_file.clone(), given.key_file.clone());
    let (server, given) = (&mut expected.server, &config.server);
    (server.tls, server.auth, server.audit.path) = (given.tls.clone(), given.auth.clone(), given.audit.path.clone());
    expected.cloudevents = config.cloudevents.clone();
    assert_eq!(config, expected);
    assert_eq!(config.store.sqlite.path, Path::new("roa-data/roa.db"));
    assert_eq!(config.admin.socket, Path::new("roa-data/admin.sock"));
}

#[test]
fn the_reference_explains_each_key() {
    let lines: Vec<_> = REFERENCE.lines().collect();
    let is_key =
        |line: &str| line.trim_start_matches('#').split_once(" = ").is_some_and(|(name, _)| !name.contains(' '));
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| is_key(line)) {
        let begin = lines[..index].iter().rposition(|line| line.is_empty() || line.starts_with('[')).unwrap_or(0);
        assert!(lines[begin..index].iter().any(|line| line.starts_with("# ")), "nothing explains {line}");
    }
}
