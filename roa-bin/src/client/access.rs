//! [`Access`]: where the API is. Without a server, this process serves the store to itself.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use roa_runtime::SystemClock;
use roa_server::tls::ServerTls;
use serde_json::Value as Json;

use super::{Ask, Client, ClientError, Endpoint, Http, Login};
use crate::cli::{AccessArgs, LogArgs};
use crate::commands::config::load_from;
use crate::commands::run::runtime;
use crate::config::ListenAddress;
use crate::config::settings::{Config, LogConfig, StoreBackend};
use crate::engine::Direct;
use crate::logging;
use crate::report::{Failure, is_broken_pipe};

/// How long a server on this machine may take to say that it is there.
const PROBE: Duration = Duration::from_secs(3);

/// A client, and what it needs as long as it is used.
pub(crate) struct Access {
    client: Client,
    direct: Option<Direct>,
}

/// Does something with the API that the command line, the environment and the configuration name.
///
/// # Errors
/// There is none; or what `work` answers. A reader of the output that has left is no failure.
pub(crate) fn with_client(
    args: &AccessArgs,
    log: &LogArgs,
    work: impl AsyncFnOnce(&Client) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    let config = load_from(&args.config, log)?.config;
    logging::start(&quiet(&config.log, log))?;
    let logins = Logins { named: named(args).map_err(anyhow::Error::from)?, listening: listening(&config)? };
    let done = runtime()?.block_on(async {
        let access = Access::open(logins, args.request_timeout.0, &config).await?;
        let done = work(&access.client).await;
        access.close().await;
        done
    });
    match done {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        done => Ok(done?),
    }
}

/// Does something with the API, if it answers where the command line, the environment or the configuration say; else
/// `work` is given no client, and does without.
///
/// # Errors
/// A server is named and can't be used; or what `work` answers. A reader of the output that has left is no failure.
pub(crate) fn with_server(
    args: &AccessArgs,
    log: &LogArgs,
    work: impl AsyncFnOnce(Option<&Client>, &Config) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    let config = load_from(&args.config, log)?.config;
    logging::start(&quiet(&config.log, log))?;
    let logins = Logins { named: named(args).map_err(anyhow::Error::from)?, listening: listening(&config)? };
    let done = runtime()?.block_on(async {
        let access = Access::at_server(logins, args.request_timeout.0).await?;
        work(access.as_ref().map(|access| &access.client), &config).await
    });
    match done {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        done => Ok(done?),
    }
}

/// Commands that show something log what goes wrong, if nobody asks for more.
fn quiet(config: &LogConfig, log: &LogArgs) -> LogConfig {
    let mut config = config.clone();
    if log.verbose == 0 && config.filter == LogConfig::default().filter {
        "warn".clone_into(&mut config.filter);
    }
    config
}

/// Where a server may be.
struct Logins {
    /// The one that is named: no other will do.
    named: Option<Login>,
    /// The one that the configuration says to be on this machine.
    listening: Option<Login>,
}

impl Access {
    async fn open(logins: Logins, patience: Duration, config: &Config) -> anyhow::Result<Self> {
        if let Some(access) = Self::at_server(logins, patience).await? {
            return Ok(access);
        }
        refuse_without_server(config)?;
        let direct = Direct::open(config).await.context("no server answers, and the store can't be read instead")?;
        let http = Http::new(direct.login(), patience)?;
        let client = Client::new(http, None, Arc::new(SystemClock::new()), true);
        Ok(Self { client, direct: Some(direct) })
    }

    /// A server that is named, whether it answers or not; or the one of the configuration, if it does.
    async fn at_server(logins: Logins, patience: Duration) -> anyhow::Result<Option<Self>> {
        let (http, namespace) = match logins.named {
            Some(login) => (Http::new(&login, patience)?, login.namespace),
            None => match answering(logins.listening, patience).await? {
                Some(http) => (http, None),
                None => return Ok(None),
            },
        };
        let client = Client::new(http, namespace, Arc::new(SystemClock::new()), false);
        Ok(Some(Self { client, direct: None }))
    }

    async fn close(self) {
        if let Some(direct) = self.direct {
            direct.close().await;
        }
    }
}

/// The server that is named.
fn named(args: &AccessArgs) -> Result<Option<Login>, ClientError> {
    let endpoint = args.server.as_deref().map(|url| url.parse::<Endpoint>().map_err(ClientError::usage)).transpose()?;
    let login = args.kubeconfig.as_deref().map(Login::read).transpose()?;
    Ok(match (login, endpoint) {
        (Some(login), None) => Some(login),
        (Some(login), Some(endpoint)) => Some(login.at(endpoint)),
        (None, endpoint) => endpoint.map(Login::anonymous),
    })
}

/// The server that the configuration says to be on this machine, if one answers.
async fn answering(login: Option<Login>, patience: Duration) -> Result<Option<Http>, ClientError> {
    let Some(login) = login else { return Ok(None) };
    let probe = Http::new(&login, PROBE)?;
    match probe.ask(&Ask::get("/version")).await {
        Ok((_, body)) if is_roa(&body) => Http::new(&login, patience).map(Some),
        // Something else listens there; it is not spoken to.
        Ok(_) => Ok(None),
        Err(ClientError::Refused(refusal)) if matches!(refusal.code, 401 | 403) => {
            Http::new(&login, patience).map(Some)
        }
        Err(error) => {
            tracing::debug!(%error, "no server");
            Ok(None)
        }
    }
}

/// Whether a `roa` answers where the configuration says that a server on this machine listens.
///
/// # Errors
/// The certificate of the server's own authority can't be read.
pub(crate) async fn is_served(config: &Config) -> anyhow::Result<bool> {
    Ok(answering(listening(config)?, PROBE).await?.is_some())
}

/// Where the configuration says that a server on this machine listens.
fn listening(config: &Config) -> anyhow::Result<Option<Login>> {
    let mut address = match config.server.listen.parse() {
        Ok(ListenAddress::Unix(path)) => return Ok(Some(Login::anonymous(Endpoint::Unix(path)))),
        Ok(ListenAddress::Tcp(address)) if address.port() != 0 => address,
        _ => return Ok(None),
    };
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    let tls = config.server.tls.is_enabled();
    let login = Login::anonymous(Endpoint::at(address, tls));
    if !tls {
        return Ok(Some(login));
    }
    Ok(match ServerTls::own_authority(&config.server.tls, &config.data_dir)? {
        Some(pem) => Some(login.trusting(pem)),
        // The server makes it at its first start.
        None if config.server.tls.self_signed => None,
        None => Some(login),
    })
}

/// Whether it is this program that says its version.
fn is_roa(body: &[u8]) -> bool {
    let version: Json = serde_json::from_slice(body).unwrap_or_default();
    version["gitVersion"].as_str().is_some_and(|version| version.contains("+roa-"))
}

/// A store that only another process has can't be read here, and none is made to be shown empty.
fn refuse_without_server(config: &Config) -> Result<(), ClientError> {
    let listen = &config.server.listen;
    let place =
        if listen.is_empty() { "server.listen is \"\"".to_owned() } else { format!("no server answers at {listen}") };
    let hint = "start `roa run`, or name a server with --server".to_owned();
    match config.store.backend {
        StoreBackend::Memory => {
            let what = format!("{place}, and store.backend is \"memory\", which only the process that has it can read");
            Err(ClientError::NoStore { what, hint })
        }
        StoreBackend::Sqlite if !config.store.sqlite.path.exists() => {
            let what = format!("{place}, and there is no store at {}", config.store.sqlite.path.display());
            Err(ClientError::NoStore { what, hint: format!("{hint}; --data-dir and --config say where a store is") })
        }
        StoreBackend::Sqlite | StoreBackend::Redis => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_program_is_taken_for_the_server_that_is_configured() {
        assert!(is_roa(br#"{"gitVersion":"v1.32.0+roa-0.1.0"}"#));
        assert!(!is_roa(br#"{"gitVersion":"v1.32.0"}"#) && !is_roa(b"<html>"));
    }
}
