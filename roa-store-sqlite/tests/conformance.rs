//! The SQLite store in the suite that every backend must pass.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use roa_conformance::{Backup, Expected, Facility, FactoryError, Fixture, FreshOptions, Made, Opened, StoreFactory};
use roa_core::{Capabilities, Durability, Store, SystemRandom};
use roa_runtime::SystemClock;
use roa_store_sqlite::{SqliteConfig, SqliteStore, restore};
use tempfile::TempDir;

/// The files of one store.
struct Place {
    directory: TempDir,
    config: SqliteConfig,
}

struct SqliteFactory {
    made: Made<SqliteStore>,
    /// Where the stores are, and where the copies of them; kept until the end.
    places: Mutex<Vec<Arc<Place>>>,
    numbers: AtomicU64,
}

impl std::fmt::Debug for SqliteFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteFactory")
    }
}

const FILE: &str = "roa.db";

impl SqliteFactory {
    fn new() -> Self {
        Self { made: Made::default(), places: Mutex::default(), numbers: AtomicU64::new(0) }
    }

    /// An empty directory, and the configuration of a store in it.
    fn place(&self, min_retain: u64) -> Result<Arc<Place>, FactoryError> {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(FactoryError::failed)?;
        // Only compactions make the log forget: how long a case takes must not decide what it finds.
        let config = SqliteConfig::new(directory.path().join(FILE)).log_max_batches(u64::MAX).log_max_bytes(u64::MAX);
        let place = Arc::new(Place { config: config.min_retain(min_retain), directory });
        self.places.lock().unwrap().push(Arc::clone(&place));
        Ok(place)
    }

    /// Where a store is.
    fn place_of(&self, store: &dyn Store) -> Result<Arc<Place>, FactoryError> {
        let places = self.places.lock().unwrap();
        let named = |place: &&Arc<Place>| store.to_string().ends_with(&place.config.path.display().to_string());
        places.iter().find(named).cloned().ok_or_else(|| FactoryError::Unknown(store.to_string()))
    }

    async fn open_at(&self, config: &SqliteConfig) -> Result<Arc<dyn Store>, FactoryError> {
        let opened = SqliteStore::open(config.clone(), Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await;
        Ok(self.made.keep(opened.map_err(FactoryError::failed)?))
    }

    /// What comes of opening a file with these contents.
    async fn open_file(&self, fill: impl FnOnce(&Path)) -> Result<Opened, FactoryError> {
        let place = self.place(0)?;
        fill(&place.config.path);
        let opened =
            SqliteStore::open(place.config.clone(), Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await;
        Ok(opened.map_or_else(|why| Opened::Refused(why.to_string()), |store| Opened::Store(self.made.keep(store))))
    }
}

#[async_trait]
impl StoreFactory for SqliteFactory {
    fn name(&self) -> &str {
        "sqlite"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::volatile();
        (capabilities.durability, capabilities.reopens, capabilities.shared) = (Durability::PowerLoss, true, true);
        capabilities
    }

    fn facilities(&self) -> &[Facility] {
        &[Facility::Opening, Facility::Closes, Facility::Backups, Facility::Fixtures]
    }

    fn scale(&self) -> f64 {
        0.02
    }

    async fn fresh(&self, options: FreshOptions) -> Result<Arc<dyn Store>, FactoryError> {
        let mut config = self.place(options.min_retain)?.config.clone();
        config.opening = options.opening;
        self.open_at(&config).await
    }

    async fn close(&self, store: &Arc<dyn Store>) -> Result<(), FactoryError> {
        self.made.find(&**store)?.close().await;
        Ok(())
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Result<Arc<dyn Store>, FactoryError> {
        let place = self.place_of(&*store)?;
        self.close(&store).await?;
        self.open_at(&place.config).await
    }

    async fn crash(&self, store: Arc<dyn Store>) -> Result<Arc<dyn Store>, FactoryError> {
        let (from, to) = (self.place_of(&*store)?, self.place(0)?);
        // Another process copies them: closing a database file drops the locks that this process has on it.
        let mut copy = Command::new("cp");
        for suffix in ["", "-wal", "-head"] {
            let mut file = from.directory.path().join(FILE).into_os_string();
            file.push(suffix);
            copy.args(Path::new(&file).exists().then_some(file));
        }
        let copied = copy.arg(to.directory.path()).status().map_err(FactoryError::failed)?;
        if !copied.success() {
            return Err(FactoryError::failed(format!("cp: {copied}")));
        }
        self.close(&store).await?;
        self.open_at(&to.config).await
    }

    async fn backup(&self, store: &Arc<dyn Store>) -> Result<Backup, FactoryError> {
        let backup = Backup(self.numbers.fetch_add(1, Ordering::Relaxed));
        let place = self.place_of(&**store)?;
        let path = copy_path(&place, backup);
        self.made.find(&**store)?.backup(&path).await?;
        Ok(backup)
    }

    async fn restore(&self, store: Arc<dyn Store>, backup: Backup) -> Result<Arc<dyn Store>, FactoryError> {
        let place = self.place_of(&*store)?;
        self.close(&store).await?;
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        restore(&copy_path(&place, backup), &place.config, clock, random).await.map_err(FactoryError::failed)?;
        self.open_at(&place.config).await
    }

    async fn open(&self, fixture: Fixture) -> Result<Opened, FactoryError> {
        let version1 = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/version-1.db");
        let copy = |to: &Path| {
            std::fs::copy(&version1, to).unwrap();
        };
        match fixture {
            Fixture::Version1 => self.open_file(copy).await,
            Fixture::NewerSchema => {
                let newer = |to: &Path| {
                    copy(to);
                    rusqlite::Connection::open(to).unwrap().pragma_update(None, "user_version", 99).unwrap();
                };
                self.open_file(newer).await
            }
            Fixture::Foreign => {
                let foreign = |to: &Path| {
                    let notes = rusqlite::Connection::open(to).unwrap();
                    notes.execute_batch("CREATE TABLE notes (text); PRAGMA user_version = 1").unwrap();
                };
                self.open_file(foreign).await
            }
            other => Err(FactoryError::failed(format!("{other:?} is not known"))),
        }
    }
}

fn copy_path(place: &Place, backup: Backup) -> PathBuf {
    place.directory.path().join(format!("copy-{}.db", backup.0))
}

fn main() -> ExitCode {
    roa_conformance::run_pinned(SqliteFactory::new(), Expected { run: 84, skipped: 0 })
}
