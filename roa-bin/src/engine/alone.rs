//! The API without controllers: `roa serve`.

use std::sync::Arc;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use roa_core::{Cancellation, ResourceStore, SystemRandom};
use roa_runtime::WatchHub;

use super::{Engine, admin, announce, api, clocks, kinds, manager_config, refuse_unfinished_copy, store};
use crate::admin::Readiness;
use crate::config::settings::Config;

impl Engine {
    /// Serves the API over the store that is configured, until `shutdown`. Nothing else runs: what controllers do, other
    /// processes on the same store do.
    ///
    /// # Errors
    /// The store, the admin socket or the API can't be opened; or no address is configured.
    pub(crate) async fn serve(config: Config, shutdown: Cancellation) -> anyhow::Result<()> {
        anyhow::ensure!(
            !config.server.listen.is_empty(),
            "failed to serve: server.listen is \"\", expected an address"
        );
        let clocks = clocks(&config);
        let random = Arc::new(SystemRandom);
        let opened = store::open(&config.store, true, Arc::clone(&clocks.io), random.clone()).await?;
        let store = Arc::clone(&opened.store);
        announce(&*store);
        refuse_unfinished_copy(&*store).await?;
        let hub = manager_config(&config, &*store).hub;
        let hub = WatchHub::start(Arc::clone(&store), Arc::clone(&clocks.io), hub).await;
        let hub = hub.context("failed to follow the store")?;
        let resources = ResourceStore::new(store, kinds(), Arc::clone(&clocks.domain), random, "roa");
        let resources = if config.namespaces.strict { resources.strict_namespaces() } else { resources };
        super::create_default_namespace(&resources).await;
        let mut registry = Registry::with_prefix("roa");
        let metrics = api::Metrics::register(registry.sub_registry_with_prefix("api"));
        let server = api::open(&config, &clocks, &metrics, api::IfServed::Fail).await?;
        let readiness = Readiness::default();
        let (watches, patience) = (Vec::new(), super::patience(&config));
        let watched = admin::Watched { hub: hub.clone(), membership: None, watches, explainer: None, patience };
        let admin = admin::start(&config, registry, readiness.clone(), watched, Arc::clone(&clocks.io)).await;
        let admin = admin.context("failed to start the admin socket")?;
        let metrics = metrics.requests.showing(Arc::clone(&admin.registry));
        let subresources = super::subresources::all(&config, &clocks, &hub, &resources, None);
        let served = api::Served { resources, hub: hub.clone(), metrics, readiness, subresources };
        let api = api::start(server, served, &clocks, shutdown.clone());
        shutdown.cancelled().await;
        api.stop(&clocks).await;
        hub.close().await;
        admin.stop().await;
        opened.close().await;
        Ok(())
    }
}
