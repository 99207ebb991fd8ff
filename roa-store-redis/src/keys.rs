//! [`Keys`]: under which names a store's parts lie in Redis.

use crate::RedisConfig;

/// The names of a store's parts, all with one hash tag.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// A hash: where the history stands.
    pub(crate) meta: String,
    /// A hash: each key's entry.
    pub(crate) objects: String,
    /// A sorted set: the keys in their order.
    pub(crate) index: String,
    /// A stream: the batches, each under its revision.
    pub(crate) log: String,
    /// What a look at the server's rights writes to: a hash, a sorted set and a stream.
    pub(crate) probe: [String; 3],
}

impl Keys {
    pub(crate) fn new(config: &RedisConfig) -> Self {
        Self {
            meta: config.key("meta"),
            objects: config.key("objects"),
            index: config.key("index"),
            log: config.key("log"),
            probe: ["probe:hash", "probe:set", "probe:stream"].map(|part| config.key(part)),
        }
    }
}
