//! [`Running`]: a `roa run` of its own, in a directory of its own.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use roa_core::{Clock, Key, Random, RandomExt, SeededRandom, Store, SystemRandom, Txn, TxnId, Value};
use roa_runtime::SystemClock;
use roa_store_sqlite::{SqliteConfig, SqliteDurability, SqliteStore};

/// How many labs are written in one transaction.
const TOGETHER: usize = 100;
/// How often is asked whether it is ready.
const POLL: Duration = Duration::from_micros(500);
/// No start may take longer.
const LIMIT: Duration = Duration::from_secs(60);

/// The program, if `cargo xtask bench` has built it.
pub(crate) fn program() -> Option<PathBuf> {
    std::env::var_os("ROA_BENCH_PROGRAM").map(PathBuf::from).filter(|path| path.exists())
}

/// A process that ends with this.
pub(crate) struct Running(Child);

impl Running {
    /// Starts `roa run`; its API listens on any free port.
    pub(crate) fn start(program: &Path, directory: &Path) -> Self {
        let mut command = Command::new(program);
        command.arg("run").arg("--data-dir").arg(directory).current_dir(directory);
        command.env_clear().env("ROA_SERVER__LISTEN", "127.0.0.1:0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits until its socket says that it is ready.
    pub(crate) fn wait(&mut self, directory: &Path) {
        let (socket, begun) = (directory.join("admin.sock"), Instant::now());
        while !is_ready(&socket) {
            assert!(begun.elapsed() < LIMIT && self.0.try_wait().unwrap().is_none(), "roa does not become ready");
            std::thread::park_timeout(POLL);
        }
    }

    /// Tells it to stop, so that the next one finds no leader that seems alive.
    pub(crate) fn stop(mut self) {
        let told = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(told.success());
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, unless a check failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_ready(socket: &Path) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: roa\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// When a lab is to begin.
#[derive(Clone, Copy)]
pub(crate) enum Begin {
    /// At once.
    Now,
    /// At a time that is far away: it asks for nothing before.
    Never,
}

fn lab(number: usize, begin: Begin, random: &dyn Random) -> (Key, Value) {
    let (name, uid) = (format!("lab-{number:06}"), random.uuid());
    let key = Key::new("lab.neuroglia.com", "labinstances", "school", &name).unwrap();
    // One that has waited for long has failed.
    let (begin, created) = match begin {
        Begin::Now => ("", SystemClock::new().now().to_string()),
        Begin::Never => (r#","scheduledStart":"2099-01-01T00:00:00Z""#, "2026-01-01T00:00:00Z".to_owned()),
    };
    let value = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"school","uid":"{uid}","generation":1,"creationTimestamp":"{created}"}},"apiVersion":"lab.neuroglia.com/v1","kind":"LabInstance","spec":{{"template":"simulated","studentEmail":"student{number}@example.com"{begin}}},"status":{{"state":"pending"}}}}"#
    );
    (key, Value::json(value))
}

/// The store that a `roa run` in this directory has.
pub(crate) async fn open(directory: &Path) -> SqliteStore {
    let config = SqliteConfig::new(directory.join("roa.db")).durability(SqliteDurability::ProcessCrash);
    SqliteStore::open(config, Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await.unwrap()
}

/// Writes so many labs.
pub(crate) async fn fill(store: &SqliteStore, count: usize, begin: Begin) {
    let random = SeededRandom::new(1);
    for first in (0..count).step_by(TOGETHER) {
        let txn = Txn::new(TxnId::random(&random), "bench");
        let labs = (first..count.min(first + TOGETHER)).map(|number| lab(number, begin, &random));
        store.commit(labs.fold(txn, |txn, (key, value)| txn.create(key, value))).await.unwrap();
    }
}
