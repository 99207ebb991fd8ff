//! How long `roa run` takes until it is ready, on an empty store and on one with 100,000 labs.
//!
//! `cargo xtask bench --only startup` builds the program and says where it is, in `ROA_BENCH_PROGRAM`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use roa_benches::group;
use roa_core::{Key, Random, RandomExt, SeededRandom, Store, SystemRandom, Txn, TxnId, Value};
use roa_runtime::SystemClock;
use roa_store_sqlite::{SqliteConfig, SqliteDurability, SqliteStore};
use tempfile::TempDir;

const LABS: usize = 100_000;
/// How many labs are written in one transaction.
const TOGETHER: usize = 100;
/// How often is asked whether it is ready.
const POLL: Duration = Duration::from_micros(500);
/// No start may take longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A process that ends with this.
struct Running(Child);

impl Running {
    fn start(program: &Path, directory: &Path) -> Self {
        let mut command = Command::new(program);
        command.arg("run").arg("--data-dir").arg(directory).current_dir(directory);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Waits until its socket says that it is ready.
    fn wait(&mut self, directory: &Path) {
        let (socket, begun) = (directory.join("admin.sock"), Instant::now());
        while !is_ready(&socket) {
            assert!(begun.elapsed() < LIMIT && self.0.try_wait().unwrap().is_none(), "roa does not become ready");
            std::thread::park_timeout(POLL);
        }
    }

    /// Tells it to stop, so that the next one finds no leader that seems alive.
    fn stop(mut self) {
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

/// A lab that asks for nothing before a time that is far away.
fn lab(number: usize, random: &dyn Random) -> (Key, Value) {
    let (name, uid) = (format!("lab-{number:06}"), random.uuid());
    let key = Key::new("lab.neuroglia.com", "labinstances", "school", &name).unwrap();
    let value = format!(
        r#"{{"apiVersion":"lab.neuroglia.com/v1","kind":"LabInstance","metadata":{{"name":"{name}","namespace":"school","uid":"{uid}","generation":1,"creationTimestamp":"2026-01-01T00:00:00Z"}},"spec":{{"template":"simulated","studentEmail":"student{number}@example.com","scheduledStart":"2099-01-01T00:00:00Z"}},"status":{{"state":"pending"}}}}"#
    );
    (key, Value::json(value))
}

fn fill(directory: &Path, count: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let random = Arc::new(SeededRandom::new(1));
    let config = SqliteConfig::new(directory.join("roa.db")).durability(SqliteDurability::ProcessCrash);
    runtime.block_on(async {
        let store = SqliteStore::open(config, Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await.unwrap();
        for first in (0..count).step_by(TOGETHER) {
            let txn = Txn::new(TxnId::random(&*random), "bench");
            let labs = (first..first + TOGETHER).map(|number| lab(number, &*random));
            store.commit(labs.fold(txn, |txn, (key, value)| txn.create(key, value))).await.unwrap();
        }
        store.close().await;
    });
}

#[expect(clippy::print_stdout, reason = "the one who reads the benches' output")]
fn start(criterion: &mut Criterion) {
    let Some(program) = std::env::var_os("ROA_BENCH_PROGRAM").map(PathBuf::from).filter(|path| path.exists()) else {
        println!("skipped: startup: ROA_BENCH_PROGRAM does not name the program");
        return;
    };
    let mut group = group(criterion, "startup");
    for (name, labs) in [("empty", 0), ("100000", LABS)] {
        let mut directory = None;
        group.bench_function(name, |bencher| {
            let directory = directory.get_or_insert_with(|| {
                let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
                fill(directory.path(), labs);
                directory
            });
            bencher.iter_custom(|rounds| {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let started = Instant::now();
                    let mut running = Running::start(&program, directory.path());
                    running.wait(directory.path());
                    total += started.elapsed();
                    running.stop();
                }
                total
            });
        });
    }
    group.finish();
}

criterion_group!(benches, start);
