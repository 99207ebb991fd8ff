//! What is measured, in the order of the page, and what it is to reach.

use super::row::Budget::{AtLeast, AtMost, Beyond, UpTo};
use super::row::{Row, Unit};

/// A table of the page.
pub(super) struct Section {
    pub(super) title: &'static str,
    /// The benches that measure it.
    pub(super) benches: &'static [&'static str],
    /// What stands beside ROA.
    pub(super) beside: &'static str,
    pub(super) note: &'static str,
    pub(super) rows: Vec<Row>,
}

const EVENTS: Unit = Unit::PerSecond("events");
const COMMITS: Unit = Unit::PerSecond("commits");
const ROWS: Unit = Unit::PerSecond("rows");
const CALLS: Unit = Unit::PerSecond("calls");
const WATCHERS: [(&str, &str); 4] =
    [("1", "1 watcher"), ("10", "10 watchers"), ("100", "100 watchers"), ("1000", "1,000 watchers")];

/// All tables.
pub(super) fn sections() -> Vec<Section> {
    vec![
        watching(),
        writing(),
        delivering("memory"),
        delivering("sqlite"),
        delivering("redis"),
        memory(),
        sqlite(),
        redis(),
        engine(),
        memory_of_objects(),
        program(),
        kube(),
        servers(),
    ]
}

/// Microseconds, in nanoseconds.
const fn micros(count: u32) -> f64 {
    count as f64 * 1e3
}

/// Milliseconds, in nanoseconds.
const fn millis(count: u32) -> f64 {
    count as f64 * 1e6
}

const fn mebibytes(count: u32) -> f64 {
    (count << 20) as f64
}

/// A pair of one group: `raw` and `roa`.
fn pair(work: &str, unit: Unit, group: &str) -> Row {
    Row::new(work, unit, format!("{group}/roa")).beside(format!("{group}/raw"))
}

fn quantiles(work: &str, group: &str) -> [Row; 2] {
    ["p50", "p99"].map(|quantile| {
        let row = Row::new(format!("{work}, {quantile}"), Unit::Time, format!("{group}/roa-{quantile}"));
        row.beside(format!("{group}/raw-{quantile}"))
    })
}

fn watching() -> Section {
    let group = |name: &str, count: &str| format!("watch/{name}/{count}");
    let lent = WATCHERS.map(|(count, watchers)| {
        let row = Row::new(format!("{watchers}, events lent"), EVENTS, group("deliver/roa-lent", count));
        row.beside(group("deliver/raw-log", count)).budget(AtLeast(0.5))
    });
    let shared = WATCHERS.map(|(count, watchers)| {
        let row = Row::new(format!("{watchers}, batches shared"), EVENTS, group("deliver/roa-shared", count));
        row.beside(group("deliver/raw-log-cloned", count)).budget(AtLeast(0.8))
    });
    let select = [("1", "1 watcher"), ("100", "100 watchers")].map(|(count, watchers)| {
        let work = format!("{watchers} with a label selector that 1% matches, events looked at");
        let row = Row::new(work, EVENTS, group("select-one-percent/roa-lent", count));
        row.beside(group("select-one-percent/raw-log", count)).budget(AtLeast(0.5))
    });
    let all = pair("one event to all of 1,000 watchers, first to last", Unit::Time, "watch/to-all-of-1000");
    let rows = lent.into_iter().chain(shared).chain(select).chain([all.budget(AtMost(1.5))]);
    Section {
        title: "The watch hub alone",
        benches: &["watch"],
        beside: "raw log",
        note: "One change feed, fed batch by batch from a prepared log. *Lent*: a watcher looks at events in place. *Shared*: it takes each batch away.",
        rows: rows.collect(),
    }
}

fn writing() -> Section {
    let row = |(count, watchers): (&str, &str)| {
        let row = Row::new(format!("writer beside {watchers}"), Unit::Share, format!("writers/roa/{count}"));
        row.beside(format!("writers/raw/{count}")).budget(AtLeast(0.8))
    };
    Section {
        title: "A writer beside watchers, memory",
        benches: &["writers"],
        beside: "raw store and raw log",
        note: "What a writer keeps of the rate that it has without watchers. On two cores watchers take time from a writer wherever they read; so it is compared with a raw writer beside as many raw readers.",
        rows: WATCHERS.into_iter().map(row).collect(),
    }
}

fn delivering(backend: &'static str) -> Section {
    let rows = WATCHERS.into_iter().flat_map(|(count, watchers)| {
        [("", ""), ("-1pct", ", each with a selector that 1% matches")].map(|(suffix, selector)| {
            let row =
                Row::new(format!("{watchers}{selector}"), EVENTS, format!("deliver/{backend}/roa{suffix}/{count}"));
            row.beside(format!("deliver/{backend}/raw{suffix}/{count}"))
        })
    });
    Section {
        title: match backend {
            "memory" => "From writers to watchers, memory",
            "sqlite" => "From writers to watchers, SQLite",
            _ => "From writers to watchers, Redis",
        },
        benches: &["deliver"],
        beside: "raw commits and raw log",
        note: "64 writers commit while the watchers read; an event counts for each watcher that it passed. The store decides while watchers are few, the fan-out when they are many.",
        rows: rows.collect(),
    }
}

fn commits(group: &str, counts: &[u32], least: f64) -> Vec<Row> {
    let row = |count: &u32| pair(&format!("commits, {count} in flight"), COMMITS, &format!("{group}/{count}"));
    counts.iter().map(|count| row(count).budget(AtLeast(least))).collect()
}

fn memory() -> Section {
    let mut rows = commits("store/commit", &[1, 16, 256], 0.4);
    rows.push(pair("list of 10,000", ROWS, "store/list-10000").budget(AtLeast(0.5)));
    rows.push(pair("resume of 100,000 events", EVENTS, "store/resume-100000").budget(AtLeast(0.5)));
    let [median, tail] = quantiles("from a write to its watcher", "watch/write-to-watcher");
    rows.extend([median.budget(UpTo(micros(5))), tail]);
    Section {
        title: "Memory store",
        benches: &["store", "watch"],
        beside: "map and log behind one lock",
        note: "",
        rows,
    }
}

fn sqlite() -> Section {
    let mut rows = commits("sqlite/commit", &[1, 16, 64, 256], 0.95);
    rows.push(
        pair("transactions of 100 writes", Unit::PerSecond("writes"), "sqlite/batches-of-100").budget(AtLeast(0.85)),
    );
    rows.push(pair("list of 10,000", ROWS, "sqlite/list-10000").budget(AtLeast(0.8)));
    rows.push(pair("resume of 100,000 events", EVENTS, "sqlite/resume-100000").budget(AtLeast(0.7)));
    let [median, tail] = quantiles("from a write to its watcher, beside the commit alone", "sqlite/write-to-watcher");
    rows.extend([median.budget(Beyond(micros(50))), tail]);
    let [median, tail] =
        quantiles("from an answer to a watcher in another process, beside polling each 1 ms", "sqlite/other-process");
    rows.extend([median.budget(UpTo(millis(1))), tail]);
    Section {
        title: "SQLite store",
        benches: &["sqlite"],
        beside: "raw rusqlite",
        note: "Durable against a power cut when it answers, as is the raw side, which has a group commit of its own.",
        rows,
    }
}

fn redis() -> Section {
    let mut rows = commits("redis/commit", &[1, 16, 64, 256], 0.85);
    rows.push(pair("list of 10,000", ROWS, "redis/list-10000"));
    rows.push(pair("resume of 100,000 events", EVENTS, "redis/resume-100000").budget(AtLeast(0.8)));
    let [median, tail] = quantiles("from a write to its watcher", "redis/write-to-watcher");
    rows.extend([median.budget(AtMost(1.3)), tail]);
    Section {
        title: "Redis store",
        benches: &["redis"],
        beside: "raw script",
        note: "A private server with an append-only file that is synced each second; the raw side is a script of forty lines that makes the same checks, over the same library.",
        rows,
    }
}

/// The id of a benchmark of calls; the names are those of the engine's own benches.
fn calls(what: &str, who: &str, workers: u32, keys: u32) -> String {
    format!("engine/calls-{what}/{who}/{workers}-workers-{keys}-keys")
}

/// Workers and keys.
const IDLE_CALLS: [(u32, u32); 6] =
    [(1, 10_000), (16, 10_000), (64, 10_000), (1, 100_000), (16, 100_000), (64, 100_000)];

fn idle_calls(workers: u32, keys: u32) -> Row {
    let work = format!("no-op reconciles, {workers} workers, {keys} keys");
    Row::new(work, CALLS, calls("that-do-nothing", "roa", workers, keys))
}

fn engine() -> Section {
    let idle = IDLE_CALLS.map(|(workers, keys)| {
        idle_calls(workers, keys).beside(calls("that-do-nothing", "raw", workers, keys)).budget(AtLeast(0.4))
    });
    let mut rows: Vec<_> = idle.into();
    let busy =
        Row::new("reconciles of a millisecond, 256 workers", CALLS, calls("of-a-millisecond", "roa", 256, 25_600));
    rows.push(busy.beside(calls("of-a-millisecond", "raw", 256, 25_600)).budget(AtLeast(0.9)));
    let begins = |quantile: &str| {
        let work = format!("from a commit to the begin of its reconcile, {quantile}");
        Row::new(work, Unit::Time, format!("engine/commit-to-call/roa-{quantile}"))
    };
    rows.extend([begins("p50").budget(UpTo(micros(50))), begins("p99")]);
    let apply =
        Row::new("cache apply, typed, with decoding", Unit::PerSecond("objects"), "engine/apply/roa-decode-and-apply");
    rows.push(apply.beside("engine/apply/raw-decode").budget(AtLeast(0.8)));
    Section {
        title: "The engine",
        benches: &["engine"],
        beside: "raw",
        note: "Raw calls come from a queue of keys, each once, and nothing else; raw decoding is serde_json alone.",
        rows,
    }
}

fn memory_of_objects() -> Section {
    let row = |work: &str, what: &str, beside: &str| {
        Row::new(work, Unit::Bytes, format!("memory/{what}")).beside(format!("memory/{beside}"))
    };
    let peak = Row::new(
        "most while all objects are listed anew, beside before, typed cache",
        Unit::Share,
        "memory/typed-relist-peak",
    );
    Section {
        title: "Memory of 100,000 objects",
        benches: &["memory"],
        beside: "bare",
        note: "Resident bytes for each object, key and all, each case in a process of its own. Typed stands beside the bare Rust value, untyped beside the bare JSON text.",
        rows: vec![
            row("cache of Rust values", "typed", "values").budget(AtMost(1.1)),
            row("cache of JSON, beside the text", "untyped", "bytes").budget(UpTo(1_600.0)),
            row("cache of JSON, beside `serde_json::Value`", "untyped", "json"),
            row("cache of JSON, beside kube-rs's store of `DynamicObject`", "untyped", "kube"),
            row("memory store, hub and cache of Rust values", "with-memory-store", "values"),
            row("SQLite store, hub and cache of Rust values", "with-sqlite-store", "values"),
            peak.budget(UpTo(1.15)),
        ],
    }
}

fn program() -> Section {
    let rows = vec![
        Row::new("`roa run` ready, empty SQLite store", Unit::Time, "startup/empty").budget(UpTo(millis(50))),
        Row::new("`roa run` ready, 100,000 labs in the store", Unit::Time, "startup/100000")
            .budget(UpTo(millis(1_000))),
        Row::new("memory, 100 simulated labs that are ready", Unit::Bytes, "idle/memory").budget(UpTo(mebibytes(30))),
        Row::new("part of a core, 100 simulated labs that are ready", Unit::Share, "idle/processor")
            .budget(UpTo(0.005)),
    ];
    Section {
        title: "The program",
        benches: &["startup", "idle"],
        beside: "",
        note: "Ready: from the start of the process until `/readyz` on its socket answers 200; caches are filled and watches served.",
        rows,
    }
}

fn kube() -> Section {
    let rows = WATCHERS[..3].iter().map(|(count, watchers)| {
        let row = Row::new(format!("{watchers}, shared"), EVENTS, format!("peers/deliver/roa/{count}"));
        row.beside(format!("peers/deliver/kube/{count}")).budget(AtLeast(4.0))
    });
    let store = Row::new("cache apply of decoded objects", Unit::PerSecond("objects"), "engine/apply/roa-apply");
    let store = store.beside("peers/cache-apply/kube").budget(AtLeast(1.5));
    let reconcile = IDLE_CALLS.map(|(workers, keys)| {
        let beside = format!("peers/reconcile/kube/{workers}-workers-{keys}-keys");
        idle_calls(workers, keys).beside(beside).budget(AtLeast(5.0))
    });
    Section {
        title: "Beside kube-rs",
        benches: &["peers", "engine"],
        beside: "kube-rs",
        note: "Its shared reflector, its reflector store and its controller, fed from memory.",
        rows: rows.chain([store]).chain(reconcile).collect(),
    }
}

fn servers() -> Section {
    let mut rows = Vec::new();
    for (store, peer, budgets) in [
        ("sqlite", "etcd", [None, Some(1.3), Some(1.3)]),
        ("redis", "etcd", [None, Some(4.0), None]),
        ("sqlite", "nats", [None; 3]),
        ("redis", "nats", [None; 3]),
    ] {
        for (in_flight, least) in [1, 64, 256].into_iter().zip(budgets) {
            let work = format!("{}: commits beside {}, {in_flight} in flight", named(store), named(peer));
            let row = Row::new(work, COMMITS, format!("peers/put/{store}/{in_flight}"));
            let row = row.beside(format!("peers/put/{peer}/{in_flight}"));
            rows.push(least.map_or_else(|| row.clone(), |least| row.clone().budget(AtLeast(least))));
        }
        for quantile in ["p50", "p99"] {
            let work = format!("{}: from a write to its watcher beside {}, {quantile}", named(store), named(peer));
            let row = Row::new(work, Unit::Time, format!("peers/watch/{store}-{quantile}"));
            let row = row.beside(format!("peers/watch/{peer}-{quantile}"));
            rows.push(if peer == "etcd" && quantile == "p50" { row.budget(AtMost(1.0)) } else { row });
        }
    }
    rows.push(
        Row::new("SQLite: list of 10,000 beside etcd", ROWS, "peers/list/sqlite")
            .beside("peers/list/etcd")
            .budget(AtLeast(4.0)),
    );
    Section {
        title: "Beside etcd and NATS JetStream",
        benches: &["peers"],
        beside: "peer",
        note: "Private servers over the loopback interface, compare-and-swap of one key each. etcd syncs before it answers, as the SQLite store does; Redis and NATS sync each second and each two minutes as they come.",
        rows,
    }
}

fn named(what: &str) -> &str {
    match what {
        "sqlite" => "SQLite",
        "redis" => "Redis",
        "nats" => "NATS",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_rows_of_a_table_are_called_the_same() {
        for section in sections() {
            let names: HashSet<_> = section.rows.iter().map(|row| &row.work).collect();
            assert_eq!(names.len(), section.rows.len(), "{}", section.title);
        }
    }
}
