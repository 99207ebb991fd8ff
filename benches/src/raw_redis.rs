//! The raw limit of Redis: one script over one connection that multiplexes, and the stream read back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult, Script, Value};
use roa_core::{Key, SeededRandom, TxnId, Value as Stored};

use crate::Side;

/// The keys, beside those of a store.
const KEYS: [&str; 4] = ["{raw}:meta", "{raw}:objects", "{raw}:index", "{raw}:log"];
/// How long an answer may take: on a busy machine, long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many rows a list takes at a time.
const PAGE: usize = 1_000;
const EPOCH: &str = "1-0000000000000001";

/// A hash, an index and a stream, written by a script of forty lines.
#[derive(Debug, Clone)]
pub struct RawRedis {
    connection: MultiplexedConnection,
    script: Arc<Script>,
    seen: Arc<Mutex<(u64, TxnId)>>,
    random: Arc<SeededRandom>,
}

impl RawRedis {
    /// Begins with an empty log at revision 1.
    ///
    /// # Errors
    /// Those of redis.
    pub async fn open(url: &str) -> RedisResult<Self> {
        let mut connection = Self::connect(url).await?;
        redis::cmd("DEL").arg(&KEYS).exec_async(&mut connection).await?;
        let none = TxnId::none();
        let mut meta = redis::cmd("HSET");
        meta.arg(KEYS[0]).arg("epoch").arg(EPOCH).arg("head").arg(1).arg("txn").arg(none.0.as_bytes());
        meta.exec_async(&mut connection).await?;
        let script = Script::new(include_str!("raw_redis.lua"));
        let (seen, random) = (Arc::new(Mutex::new((1, none))), Arc::new(SeededRandom::new(1)));
        Ok(Self { connection, script: script.into(), seen, random })
    }

    /// A connection that waits for answers longer than the library's half a second.
    ///
    /// # Errors
    /// Those of redis.
    pub async fn connect(url: &str) -> RedisResult<MultiplexedConnection> {
        let settings = AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE));
        let settings = settings.set_response_timeout(Some(PATIENCE));
        redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&settings).await
    }

    /// Writes a key that is at `expect`, or absent; gives its revision.
    ///
    /// # Errors
    /// Those of redis, a number that is none among them when the script refuses.
    pub async fn put(&self, key: &Key, value: &Bytes, expect: Option<u64>, txn: TxnId) -> RedisResult<u64> {
        let (seen, seen_txn) = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut call = self.script.prepare_invoke();
        for name in KEYS {
            call.key(name);
        }
        call.arg(EPOCH).arg(seen).arg(&seen_txn.0.as_bytes()[..]).arg(&txn.0.as_bytes()[..]).arg(key.encoded());
        match expect {
            None => call.arg(""),
            Some(at) => call.arg(&at.to_be_bytes()[..]),
        };
        let at: u64 = call.arg(&value[..]).invoke_async(&mut self.connection.clone()).await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if at > seen.0 {
            *seen = (at, txn);
        }
        Ok(at)
    }

    /// The newest revision that was written.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// The entries of a log after a revision, `count` at most, as the library gives them.
    ///
    /// # Errors
    /// Those of redis.
    pub async fn read(&self, log: &str, after: u64, count: usize) -> RedisResult<Value> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(count).arg("STREAMS").arg(log).arg(format!("{after}-0"));
        read.query_async(&mut self.connection.clone()).await
    }

    /// All live keys in order, with what is under them, a thousand at a time.
    ///
    /// # Errors
    /// Those of redis.
    pub async fn list(&self, [index, objects]: [&str; 2]) -> RedisResult<Vec<(Value, Value)>> {
        let (mut connection, mut rows) = (self.connection.clone(), Vec::new());
        loop {
            let (from, to) = (rows.len(), rows.len() + PAGE - 1);
            let keys: Vec<Value> =
                redis::cmd("ZRANGE").arg(index).arg(from).arg(to).query_async(&mut connection).await?;
            if keys.is_empty() {
                return Ok(rows);
            }
            let mut get = redis::cmd("HMGET");
            get.arg(objects);
            for key in &keys {
                if let Value::BulkString(key) = key {
                    get.arg(key);
                }
            }
            let values: Vec<Value> = get.query_async(&mut connection).await?;
            rows.extend(keys.into_iter().zip(values));
        }
    }

    /// Waits for what comes after a revision, on a connection of its own.
    ///
    /// # Errors
    /// Those of redis.
    pub async fn wait(connection: &mut MultiplexedConnection, after: u64) -> RedisResult<Value> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(1_000).arg("BLOCK").arg(400).arg("STREAMS").arg(KEYS[3]).arg(format!("{after}-0"));
        read.query_async(connection).await
    }
}

impl Side for RawRedis {
    type At = u64;

    #[expect(clippy::expect_used, reason = "a benchmark that can't write must stop")]
    async fn write(&self, keys: &[Key], value: &Stored, expect: Option<u64>) -> u64 {
        let [key] = keys else { unreachable!("the raw script writes one key") };
        self.put(key, &value.bytes, expect, TxnId::random(&*self.random)).await.expect("a script that is not refused")
    }
}
