//! Opening a store: what the server promises, whose keys they are, and whether the history was broken meanwhile.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use roa_core::{Clock, Epoch, Random, RandomExt, Revision, StoreId, TxnId};

use crate::address::Address;
use crate::connect;
use crate::error::{OpenError, RedisStoreError};
use crate::keys::Keys;
use crate::link::Link;
use crate::meta::{Meta, epoch_text};
use crate::preflight::{self, Findings};
use crate::scripts::{Scripts, all};
use crate::shared::{Parts, Shared, invoke};
use crate::{RedisConfig, lineage, migrate};

/// Opens a store, or makes it.
pub(crate) async fn open(
    config: RedisConfig,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<(Arc<Shared>, Findings), OpenError> {
    let address = Address::new(&config)?;
    let (name, key) = (address.to_string(), config.key("meta"));
    let refused = |error| OpenError::from_store(&name, &key, error);
    let mut connected = connect::find(&address, &config, config.response_timeout).await.map_err(refused)?;
    let connection = &mut connected.connection;
    let findings = preflight::look(&address, &config, &connected.server, connection).await?;
    let (keys, scripts) = (Keys::new(&config), Scripts::new());
    preflight::probe_rights(connection, &scripts, &keys).await.map_err(refused)?;
    let parts = Parts { config, address, clock, random, scripts, keys };
    let meta = find_or_make(&parts, connection).await.map_err(refused)?;
    migrate::check(&name, &meta)?;
    let link = Link::new(connection.clone(), parts.config.connect_timeout);
    let waiting = match parts.config.wait_replicas {
        0 => None,
        _ => Some(
            connect::primary(&parts.address, &parts.config, parts.config.response_timeout).await.map_err(refused)?,
        ),
    };
    let waiting = waiting.map(|connected| Link::new(connected.connection, parts.config.connect_timeout));
    let shared = Arc::new(Shared::new(parts, &meta, (link, waiting)));
    lineage::settle(&shared, connection).await.map_err(refused)?;
    Ok((shared, findings))
}

async fn find_or_make(parts: &Parts, connection: &mut MultiplexedConnection) -> Result<Meta, RedisStoreError> {
    let keys = all(&parts.keys);
    let state = async |connection: &mut MultiplexedConnection| {
        Meta::parse(invoke(connection, &parts.scripts.state, &keys, |_| {}).await?)
    };
    if let Some(meta) = state(connection).await? {
        return Ok(meta);
    }
    if !parts.config.create {
        return Err(RedisStoreError::Missing);
    }
    let opening = parts.config.opening.unwrap_or_else(|| Revision::opening(parts.clock.now()));
    let (id, epoch) = (StoreId(parts.random.uuid()), Epoch::first(&*parts.random));
    let made = invoke(connection, &parts.scripts.open, &keys, |call| {
        call.arg(migrate::SCHEMA).arg(id.to_string()).arg(epoch_text(epoch)).arg(opening.get());
        call.arg(TxnId::none().0.as_bytes()).arg(0);
    });
    made.await?;
    let nothing = || RedisStoreError::Broken("the store that was just made is gone".to_owned());
    state(connection).await?.ok_or_else(nothing)
}
