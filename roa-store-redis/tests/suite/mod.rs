//! The Redis store as the suite that every backend must pass makes it: each store on a server of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use roa_conformance::{Backup, Facility, FactoryError, Fixture, FreshOptions, Made, Opened, StoreFactory};
use roa_core::{Capabilities, Durability, Linearizable, Store, SystemRandom};
use roa_runtime::SystemClock;
use roa_store_redis::test_util::RedisServer;
use roa_store_redis::{OpenError, RedisConfig, RedisStore};

/// The server of one store, and how it is reached.
struct Place {
    server: RedisServer,
    config: RedisConfig,
}

/// Servers that keep an append-only file, or nothing.
pub struct RedisFactory {
    durability: Durability,
    made: Made<RedisStore>,
    /// Where the stores are, kept until the end.
    places: Mutex<Vec<Arc<Place>>>,
    numbers: AtomicU64,
}

impl std::fmt::Debug for RedisFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisFactory")
    }
}

impl RedisFactory {
    /// Servers whose stores are as durable as this.
    pub fn new(durability: Durability) -> Self {
        Self { durability, made: Made::default(), places: Mutex::default(), numbers: AtomicU64::default() }
    }

    fn server(&self) -> RedisServer {
        match self.durability {
            Durability::Volatile => RedisServer::start_with(&["--appendonly", "no", "--save", ""]),
            _ => RedisServer::start(),
        }
    }

    fn keep(&self, server: RedisServer, change: impl FnOnce(RedisConfig) -> RedisConfig) -> RedisConfig {
        // Only compactions make the log forget: how long a case takes must not decide what it finds.
        let config = RedisConfig::new(server.unix_url()).log_max_batches(u64::MAX).log_max_bytes(u64::MAX);
        let config = change(config.name("fixture"));
        self.places.lock().unwrap().push(Arc::new(Place { server, config: config.clone() }));
        config
    }

    /// Where a store is.
    fn place_of(&self, store: &dyn Store) -> Result<Arc<Place>, FactoryError> {
        let places = self.places.lock().unwrap();
        let named = |place: &&Arc<Place>| store.to_string().ends_with(&place.server.unix_url());
        places.iter().find(named).cloned().ok_or_else(|| FactoryError::Unknown(store.to_string()))
    }

    async fn open_at(&self, config: RedisConfig) -> Result<Arc<dyn Store>, OpenError> {
        let opened = RedisStore::open(config, Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await?;
        Ok(self.made.keep(opened))
    }

    async fn open_on(&self, server: RedisServer) -> Opened {
        let config = self.keep(server, |config| config);
        self.open_at(config).await.map_or_else(|why| Opened::Refused(why.to_string()), Opened::Store)
    }
}

/// A server that has loaded what a store of version 1 left.
fn version_1() -> RedisServer {
    loaded(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/version-1.rdb"))
}

/// A server that has loaded a snapshot.
fn loaded(snapshot: &Path) -> RedisServer {
    let server = RedisServer::start_with(&["--appendonly", "no"]);
    std::fs::copy(snapshot, server.directory().join("dump.rdb")).unwrap();
    server.restart();
    server
}

fn snapshot_path(place: &Place, backup: Backup) -> PathBuf {
    place.server.directory().join(format!("backup-{}.rdb", backup.0))
}

#[async_trait]
impl StoreFactory for RedisFactory {
    fn name(&self) -> &str {
        "redis"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::volatile();
        (capabilities.durability, capabilities.linearizable) = (self.durability, Linearizable::UnlessFailover);
        (capabilities.reopens, capabilities.shared) = (true, true);
        capabilities
    }

    fn facilities(&self) -> &[Facility] {
        &[Facility::Opening, Facility::Closes, Facility::Backups, Facility::Fixtures]
    }

    fn scale(&self) -> f64 {
        0.02
    }

    async fn fresh(&self, options: FreshOptions) -> Result<Arc<dyn Store>, FactoryError> {
        let config = self.keep(self.server(), |mut config| {
            config.opening = options.opening;
            config.min_retain(options.min_retain)
        });
        self.open_at(config).await.map_err(FactoryError::failed)
    }

    async fn close(&self, store: &Arc<dyn Store>) -> Result<(), FactoryError> {
        self.made.find(&**store)?.close().await;
        Ok(())
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Result<Arc<dyn Store>, FactoryError> {
        let place = self.place_of(&*store)?;
        self.close(&store).await?;
        self.open_at(place.config.clone()).await.map_err(FactoryError::failed)
    }

    /// This process ends, the server does not: what its end does is for the tests of faults, since it is a break.
    async fn crash(&self, store: Arc<dyn Store>) -> Result<Arc<dyn Store>, FactoryError> {
        let place = self.place_of(&*store)?;
        drop(store);
        self.open_at(place.config.clone()).await.map_err(FactoryError::failed)
    }

    /// Redis's own: a snapshot of all that it has.
    async fn backup(&self, store: &Arc<dyn Store>) -> Result<Backup, FactoryError> {
        let (place, backup) = (self.place_of(&**store)?, Backup(self.numbers.fetch_add(1, Ordering::Relaxed)));
        place.server.command::<String>(&["SAVE"]);
        let saved = place.server.directory().join("dump.rdb");
        std::fs::copy(saved, snapshot_path(&place, backup)).map_err(FactoryError::failed)?;
        Ok(backup)
    }

    async fn restore(&self, store: Arc<dyn Store>, backup: Backup) -> Result<Arc<dyn Store>, FactoryError> {
        let place = self.place_of(&*store)?;
        self.close(&store).await?;
        let server = loaded(&snapshot_path(&place, backup));
        let config = self.keep(server, |config| config.min_retain(place.config.min_retain));
        self.open_at(config).await.map_err(FactoryError::failed)
    }

    async fn open(&self, fixture: Fixture) -> Result<Opened, FactoryError> {
        let server = match fixture {
            Fixture::Version1 => version_1(),
            Fixture::NewerSchema => {
                let server = version_1();
                server.command::<i64>(&["HSET", "{roa:fixture}:meta", "schema", "99"]);
                server
            }
            Fixture::Foreign => {
                let server = RedisServer::start();
                server.command::<String>(&["SET", "{roa:fixture}:meta", "notes"]);
                server
            }
            other => return Err(FactoryError::failed(format!("{other:?} is not known"))),
        };
        Ok(self.open_on(server).await)
    }
}
