//! How long `roa run` takes until it is ready, on an empty store and on one with 100,000 labs.
//!
//! `cargo xtask bench --only startup` builds the program and says where it is, in `ROA_BENCH_PROGRAM`.

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use roa_benches::{group, skipped};
use tempfile::TempDir;

use crate::process::{Begin, Running, fill, open, program};

const LABS: usize = 100_000;

fn made(labs: usize) -> TempDir {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(directory.path()).await;
        fill(&store, labs, Begin::Never).await;
        store.close().await;
    });
    directory
}

fn once(program: &Path, directory: &Path) -> Duration {
    let started = Instant::now();
    let mut running = Running::start(program, directory);
    running.wait(directory);
    let took = started.elapsed();
    running.stop();
    took
}

fn start(criterion: &mut Criterion) {
    let Some(program) = program() else {
        return skipped("startup", "the program roa is not built");
    };
    let mut group = group(criterion, "startup");
    for (name, labs) in [("empty", 0), ("100000", LABS)] {
        let mut directory = None;
        group.bench_function(name, |bencher| {
            let directory = directory.get_or_insert_with(|| made(labs));
            bencher.iter_custom(|rounds| (0..rounds).map(|_| once(&program, directory.path())).sum());
        });
    }
    group.finish();
}

criterion_group!(benches, start);
