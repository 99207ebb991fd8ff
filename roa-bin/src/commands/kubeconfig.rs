//! `roa kubeconfig`: what `kubectl` and other clients reach the API with.

use std::path::Path;

use anyhow::Context as _;
use roa_server::tls::ServerTls;
use serde_json::{Value as Json, json};

use super::config::{load_from, print};
use crate::cli::{KubeconfigArgs, LogArgs};
use crate::config::ListenAddress;
use crate::config::settings::Config;
use crate::report::Failure;

/// The name of cluster, user and context.
const NAME: &str = "roa";

/// Prints a kubeconfig to stdout.
///
/// # Errors
/// The configuration is wrong, no address is configured, or a file can't be read.
pub(crate) fn run(args: &KubeconfigArgs, log: &LogArgs) -> Result<(), Failure> {
    let config = load_from(&args.config, log)?.config;
    print(&kubeconfig(args, &config)?)
}

fn kubeconfig(args: &KubeconfigArgs, config: &Config) -> anyhow::Result<String> {
    let server = match &args.server {
        Some(url) => url.clone(),
        None => url(config)?,
    };
    let authority = authority(config, server.starts_with("https://"))?;
    let mut cluster = json!({ "server": server });
    match authority {
        Some(pem) => cluster["certificate-authority-data"] = json!(base64(&pem)),
        // Some clients refuse plain HTTP without it; over TLS, certificates are verified.
        None if server.starts_with("http://") => cluster["insecure-skip-tls-verify"] = json!(true),
        None => {}
    }
    let mut user = user(args)?;
    if server.starts_with("https://") && user == json!({}) {
        // kubectl asks at the terminal for a name if it has nothing to show over TLS; the server does not look at it.
        user["username"] = json!("anonymous");
    }
    let document = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": NAME, "preferences": {},
        "clusters": [{ "name": NAME, "cluster": cluster }],
        "users": [{ "name": NAME, "user": user }],
        "contexts": [{ "name": NAME, "context": { "cluster": NAME, "user": NAME, "namespace": args.namespace } }],
    });
    // JSON is YAML: no writer of YAML is needed.
    let text = serde_json::to_string_pretty(&document).context("failed to write the kubeconfig")?;
    Ok(text + "\n")
}

/// Where the API is, as this machine reaches it.
fn url(config: &Config) -> anyhow::Result<String> {
    let listen = &config.server.listen;
    anyhow::ensure!(!listen.is_empty(), "server.listen is \"\": no API is served; hint: name another with --server");
    let mut address = match listen.parse().map_err(anyhow::Error::msg).context("failed to read server.listen")? {
        ListenAddress::Tcp(address) => address,
        ListenAddress::Unix(_) => anyhow::bail!(
            "server.listen is {listen}, and kubectl reaches no Unix socket; hint: `roa get --server {listen}`, or an address"
        ),
    };
    anyhow::ensure!(address.port() != 0, "server.listen has port 0, which is another each time; hint: use --server");
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    let scheme = if config.server.tls.is_enabled() { "https" } else { "http" };
    Ok(format!("{scheme}://{address}"))
}

fn authority(config: &Config, tls: bool) -> anyhow::Result<Option<Vec<u8>>> {
    if !tls || !config.server.tls.is_enabled() {
        return Ok(None);
    }
    let own = ServerTls::own_authority(&config.server.tls, &config.data_dir)?;
    anyhow::ensure!(
        own.is_some() || !config.server.tls.self_signed,
        "there is no certificate yet in {}, and server.tls.self_signed = true; hint: `roa run` makes it at its first start",
        config.data_dir.join("tls").display()
    );
    Ok(own)
}

fn user(args: &KubeconfigArgs) -> anyhow::Result<Json> {
    let mut user = json!({});
    let absolute = |path: &Path| path.canonicalize().with_context(|| format!("failed to find {}", path.display()));
    if let Some(file) = &args.token_file {
        // Named, not copied: a kubeconfig is passed around more freely than a token should be.
        user["tokenFile"] = json!(absolute(file)?);
    }
    if let (Some(certificate), Some(key)) = (&args.client_certificate, &args.client_key) {
        user["client-certificate"] = json!(absolute(certificate)?);
        user["client-key"] = json!(absolute(key)?);
    }
    Ok(user)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
