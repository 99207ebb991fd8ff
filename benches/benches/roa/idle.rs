//! What `roa run` needs while nothing happens: memory and processor, with 100 simulated labs that are ready.
//!
//! `cargo xtask bench --only idle` builds the program and says where it is, in `ROA_BENCH_PROGRAM`.

use std::path::Path;
use std::time::{Duration, Instant};

use roa_benches::{figure, is_quick, resident, skipped};
use roa_core::{KeyPrefix, ListRequest, Store};
use tempfile::TempDir;

use crate::process::{Begin, Running, fill, open, program};

const LABS: usize = 100;
/// How often is looked whether the labs are ready.
const POLL: Duration = Duration::from_millis(50);
/// How long the labs may take.
const LIMIT: Duration = Duration::from_secs(120);
/// How long it is left alone before it is looked at: what followed from the last lab is over by then.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures both.
pub(crate) fn run() {
    let Some(program) = program() else {
        return skipped("idle", "the program roa is not built");
    };
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut running = Running::start(&program, directory.path());
    running.wait(directory.path());
    runtime.block_on(bring_up(directory.path()));
    // Not a condition that could be awaited: that nothing happens is what is measured.
    std::thread::park_timeout(SETTLE);
    let (begun, before) = (Instant::now(), processor_time(running.id()));
    std::thread::park_timeout(Duration::from_secs(if is_quick() { 5 } else { 10 }));
    let used = processor_time(running.id()).saturating_sub(before);
    figure("idle/processor", used.as_secs_f64() / begun.elapsed().as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    figure("idle/memory", resident(&running.id().to_string(), "VmRSS:") as f64);
    running.stop();
}

/// Writes the labs, and waits until all are ready.
async fn bring_up(directory: &Path) {
    let store = open(directory).await;
    fill(&store, LABS, Begin::Now).await;
    let (labs, begun) = (KeyPrefix::resource("lab.neuroglia.com", "labinstances").unwrap(), Instant::now());
    loop {
        let there = store.list(ListRequest::new(labs.clone())).await.unwrap().entries;
        let ready = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(r#""state":"ready""#);
        if there.iter().filter(|lab| ready(&lab.value.bytes)).count() == LABS {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "the labs do not become ready");
        std::thread::park_timeout(POLL);
    }
    store.close().await;
}

/// How long all threads of a process ran, to the nanosecond; the usual counters know ticks of 10 ms.
fn processor_time(process: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    let nanos = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}
