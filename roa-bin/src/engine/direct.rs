//! [`Direct`]: the API over a store that no server serves, for this process alone and as long as one command takes.
//!
//! It listens on a port of this machine that is any, and takes one token, which is made for it: whoever else finds the
//! port is refused. Who can open the store may do everything to it, so that nothing more is asked.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use roa_core::{CancellationSource, Clock, ResourceStore, SystemRandom};
use roa_runtime::{Clocks, Tasks, WatchHub};
use roa_server::auth::{AuthConfig, AuthMetrics, Authenticator, NewToken};
use roa_server::tls::TlsConfig;
use roa_server::{ApiConfig, ApiListener, ApiMetrics, ApiParts, ApiSecurity, ApiServer, HealthChecks};
use secrecy::ExposeSecret as _;

use super::{clocks, kinds, manager_config, refuse_unfinished_copy, store};
use crate::client::{Endpoint, Login};
use crate::config::settings::Config;

/// How long closing waits for connections.
const GRACE: Duration = Duration::from_secs(2);

/// The API over the store that is configured, for this process alone.
pub(crate) struct Direct {
    login: Login,
    stop: CancellationSource,
    tasks: Tasks,
    hub: WatchHub,
    store: store::Opened,
    clocks: Clocks,
}

impl Direct {
    /// Opens the store that is there; none is made.
    ///
    /// # Errors
    /// The store can't be used.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let clocks = clocks(config);
        let random = Arc::new(SystemRandom);
        let opened = store::open(&config.store, false, Arc::clone(&clocks.io), random.clone()).await?;
        refuse_unfinished_copy(&*opened.store).await?;
        let hub = manager_config(config, &*opened.store).hub;
        let hub = WatchHub::start(Arc::clone(&opened.store), Arc::clone(&clocks.io), hub).await;
        let hub = hub.context("failed to follow the store")?;
        let domain = Arc::clone(&clocks.domain);
        let resources = ResourceStore::new(Arc::clone(&opened.store), kinds(), domain, random.clone(), "roa");
        let resources = if config.namespaces.strict { resources.strict_namespaces() } else { resources };
        let listener = ApiListener::bind(([127, 0, 0, 1], 0).into()).await?;
        let io = Arc::clone(&clocks.io);
        let key = tokio::task::spawn_blocking(move || Key::new(io)).await.context("failed to make a token")??;
        let address = listener.address().context("failed to find the port that was taken")?;
        let login = Login::with_token(Endpoint::at(address, false), key.token);
        let parts = ApiParts {
            resources,
            hub: hub.clone(),
            clock: Arc::clone(&clocks.io),
            random,
            health: HealthChecks::none(),
            metrics: ApiMetrics::default(),
            security: ApiSecurity::open().authenticated_by(key.authenticator),
            subresources: Vec::new(),
        };
        let server = ApiServer::new(parts, ApiConfig::default());
        let (stop, tasks) = (CancellationSource::new(), Tasks::new("api", 1));
        let token = stop.token();
        tasks.spawn_draining("server", move |_| async move { server.serve(listener, token).await })?;
        Ok(Self { login, stop, tasks, hub, store: opened, clocks })
    }

    /// How to reach it.
    pub(crate) const fn login(&self) -> &Login {
        &self.login
    }

    /// Ends it, and leaves all on the disk.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.tasks.shutdown(&*self.clocks.io, GRACE).await;
        self.hub.close().await;
        self.store.close().await;
    }
}

/// A token that nobody else has, and what recognises it.
struct Key {
    token: String,
    authenticator: Arc<Authenticator>,
}

impl Key {
    /// Blocks as long as a file takes, which is gone at once.
    fn new(clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let made = NewToken::generate("roa-cli", &[])?;
        let mut file = tempfile::NamedTempFile::new().context("failed to make a file for a token's hash")?;
        writeln!(file, "{}", made.line).context("failed to write a token's hash")?;
        let mut auth = AuthConfig::default();
        auth.tokens_file = Some(file.path().to_owned());
        let authenticator = Authenticator::open(&auth, &TlsConfig::default(), clock, AuthMetrics::default())?;
        Ok(Self { token: made.token.expose_secret().to_owned(), authenticator: Arc::new(authenticator) })
    }
}
