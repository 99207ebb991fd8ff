//! Connections: to the primary, wherever the address, the sentinels or the cluster say that it is.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Value};

use crate::RedisConfig;
use crate::address::Address;
use crate::error::RedisStoreError;
use crate::meta::{elements, text};

/// A connection, and whom it reaches.
#[derive(Debug, Clone)]
pub(crate) struct Connected {
    pub(crate) connection: MultiplexedConnection,
    pub(crate) server: Server,
}

/// What a server says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Server(HashMap<String, String>);

impl Server {
    pub(crate) fn parse(info: &str) -> Self {
        let pairs = info.lines().filter_map(|line| line.split_once(':'));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    /// One field of `INFO`; empty if it does not say.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.field(name).parse().ok()
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.field("role") == "master"
    }

    fn is_cluster(&self) -> bool {
        self.field("redis_mode") == "cluster" || self.field("cluster_enabled") == "1"
    }
}

/// Connects to the primary. Answers on this connection may take as long as `response`.
pub(crate) async fn primary(
    address: &Address,
    config: &RedisConfig,
    response: Duration,
) -> Result<Connected, RedisStoreError> {
    let found = find(address, config, response).await?;
    if !found.server.is_primary() {
        let (host, port) = (found.server.field("master_host"), found.server.field("master_port"));
        return Err(RedisStoreError::Refused(format!("READONLY the server is a replica of {host}:{port}")));
    }
    Ok(found)
}

/// Connects to the server that should be the primary.
pub(crate) async fn find(
    address: &Address,
    config: &RedisConfig,
    response: Duration,
) -> Result<Connected, RedisStoreError> {
    let finding = async {
        if !address.sentinels.is_empty() {
            return connect(&ask_sentinels(address, config).await?, config, response).await;
        }
        let first = connect(&address.client()?, config, response).await?;
        if !first.server.is_cluster() {
            return Ok(first);
        }
        match owner(first.connection.clone(), config).await? {
            Some((host, port)) => connect(&address.client_at(&host, port)?, config, response).await,
            None => Ok(first),
        }
    };
    let late = |_| RedisStoreError::Connection(format!("no connection within {:?}", config.connect_timeout));
    tokio::time::timeout(config.connect_timeout, finding).await.map_err(late)?
}

async fn connect(client: &Client, config: &RedisConfig, response: Duration) -> Result<Connected, RedisStoreError> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.connect_timeout))
        .set_response_timeout(Some(response))
        .set_concurrency_limit(config.max_in_flight.get());
    let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
    let server = info(&mut connection).await?;
    Ok(Connected { connection, server })
}

/// What the server says of itself now.
pub(crate) async fn info(connection: &mut MultiplexedConnection) -> Result<Server, RedisStoreError> {
    let info: String = redis::cmd("INFO").query_async(connection).await?;
    Ok(Server::parse(&info))
}

/// The client for the primary that the first sentinel names that answers.
async fn ask_sentinels(address: &Address, config: &RedisConfig) -> Result<Client, RedisStoreError> {
    let mut reasons = Vec::new();
    for (host, port) in &address.sentinels {
        match ask_sentinel(address, config, (host, *port)).await {
            Ok(Some((host, port))) => return Ok(address.client_at(&host, port)?),
            Ok(None) => reasons.push(format!("{host}:{port} knows no {:?}", config.sentinel_service)),
            Err(why) => reasons.push(format!("{host}:{port}: {why}")),
        }
    }
    Err(RedisStoreError::Connection(format!("no sentinel named the primary: {}", reasons.join("; "))))
}

async fn ask_sentinel(
    address: &Address,
    config: &RedisConfig,
    (host, port): (&str, u16),
) -> Result<Option<(String, u16)>, RedisStoreError> {
    // A sentinel that hangs leaves time to ask the next.
    let share = config.connect_timeout / u32::try_from(address.sentinels.len() + 1).unwrap_or(u32::MAX);
    let settings = AsyncConnectionConfig::new().set_connection_timeout(Some(share)).set_response_timeout(Some(share));
    let client = address.sentinel_client(host, port)?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
    let mut ask = redis::cmd("SENTINEL");
    ask.arg("get-master-addr-by-name").arg(&config.sentinel_service);
    Ok(ask.query_async(&mut connection).await?)
}

/// The node of a cluster that holds the store's slot; `None` if the cluster does not say.
async fn owner(
    mut connection: MultiplexedConnection,
    config: &RedisConfig,
) -> Result<Option<(String, u16)>, RedisStoreError> {
    let mut slot_of = redis::cmd("CLUSTER");
    let slot: i64 = slot_of.arg("KEYSLOT").arg(config.key("meta")).query_async(&mut connection).await?;
    let ranges: Value = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
    for range in elements(ranges)? {
        let mut parts = elements(range)?.into_iter();
        if let (Some(Value::Int(from)), Some(Value::Int(to)), Some(node)) = (parts.next(), parts.next(), parts.next())
            && (from..=to).contains(&slot)
        {
            return node_address(node);
        }
    }
    Err(RedisStoreError::Connection(format!("no node of the cluster serves slot {slot}")))
}

fn node_address(node: Value) -> Result<Option<(String, u16)>, RedisStoreError> {
    let mut parts = elements(node)?.into_iter();
    match (parts.next(), parts.next()) {
        // An empty host means: the one that was asked.
        (Some(host @ (Value::BulkString(_) | Value::SimpleString(_))), Some(Value::Int(port))) => {
            let host = text(host)?;
            Ok(u16::try_from(port).ok().filter(|_| !host.is_empty()).map(|port| (host, port)))
        }
        _ => Ok(None),
    }
}
