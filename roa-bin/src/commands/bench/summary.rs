//! [`Summary`]: what a bench found, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::histogram::Histogram;
use super::load::Measured;

/// What was done, and what came of it.
pub(super) struct Summary {
    pub(super) store: String,
    pub(super) writers: u16,
    pub(super) watchers: u16,
    pub(super) value_size: usize,
    pub(super) measured: Measured,
}

/// The quantiles that are told, in thousandths.
const QUANTILES: [(&str, u64); 3] = [("p50", 500), ("p99", 990), ("p999", 999)];

impl Summary {
    /// Events that a watcher should have seen and has not.
    fn missing(&self) -> u64 {
        (self.measured.commits * u64::from(self.watchers)).saturating_sub(self.measured.delivered)
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let Measured { elapsed, commits, failed, delivered, behind, lost, drained, commit, arrival } = &self.measured;
        let mut table = format!(
            "{}: {} writers of {} bytes, {} watchers, {:.1} s\n\n",
            self.store,
            self.writers,
            self.value_size,
            self.watchers,
            elapsed.as_secs_f64()
        );
        let mut line = |name: &str, value: String| {
            let _ = writeln!(table, "{name:<28}{value:>16}");
        };
        line("commits", commits.to_string());
        line("commits per second", per_second(*commits, *elapsed));
        line("failed commits", failed.to_string());
        quantiles(&mut line, "commit", commit);
        line("events delivered", delivered.to_string());
        line("events per second", per_second(*delivered, *elapsed + *drained));
        line("events missing", self.missing().to_string());
        line("watches fell behind", behind.to_string());
        line("watches lost", lost.to_string());
        quantiles(&mut line, "write to watcher", arrival);
        line("last write to all watchers", told(*drained));
        table
    }

    /// For programs: durations in seconds.
    pub(super) fn json(&self) -> String {
        let Measured { elapsed, commits, failed, delivered, behind, lost, drained, commit, arrival } = &self.measured;
        let text = json!({
            "store": self.store,
            "writers": self.writers,
            "watchers": self.watchers,
            "valueSize": self.value_size,
            "seconds": elapsed.as_secs_f64(),
            "commits": commits,
            "commitsPerSecond": rate(*commits, *elapsed),
            "failedCommits": failed,
            "commitSeconds": times(commit),
            "eventsDelivered": delivered,
            "eventsPerSecond": rate(*delivered, *elapsed + *drained),
            "eventsMissing": self.missing(),
            "watchesBehind": behind,
            "watchesLost": lost,
            "writeToWatcherSeconds": times(arrival),
            "drainSeconds": drained.as_secs_f64(),
        });
        format!("{text:#}\n")
    }
}

/// What is shown while it runs.
pub(super) fn rates(elapsed: Duration, commits: u64, events: u64) -> String {
    format!("{} commits/s, {} events/s", per_second(commits, elapsed), per_second(events, elapsed))
}

fn quantiles(line: &mut impl FnMut(&str, String), name: &str, times: &Histogram) {
    for (quantile, share) in QUANTILES {
        line(&format!("{name}, {quantile}"), times.per_mille(share).map_or_else(|| "-".to_owned(), told));
    }
    line(&format!("{name}, longest"), told(times.longest()));
}

fn times(times: &Histogram) -> serde_json::Value {
    let quantiles = QUANTILES.into_iter().map(|(name, share)| (name, times.per_mille(share)));
    let named = quantiles.chain([("longest", Some(times.longest()))]);
    named.map(|(name, time)| (name.to_owned(), json!(time.map(|time| time.as_secs_f64())))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}

fn per_second(count: u64, elapsed: Duration) -> String {
    format!("{:.0}", rate(count, elapsed))
}

/// Three digits and a unit.
fn told(duration: Duration) -> String {
    let nanos = duration.as_secs_f64() * 1e9;
    match nanos {
        nanos if nanos < 1e3 => format!("{nanos:.0} ns"),
        nanos if nanos < 1e6 => format!("{:.1} us", nanos / 1e3),
        nanos if nanos < 1e9 => format!("{:.2} ms", nanos / 1e6),
        nanos => format!("{:.2} s", nanos / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let mut commit = Histogram::new();
        commit.record(Duration::from_micros(250));
        let measured = Measured {
            elapsed: Duration::from_secs(2),
            commits: 10,
            failed: 1,
            delivered: 19,
            behind: 0,
            lost: 0,
            drained: Duration::ZERO,
            commit,
            arrival: Histogram::new(),
        };
        Summary { store: "memory store".to_owned(), writers: 1, watchers: 2, value_size: 100, measured }
    }

    #[test]
    fn what_a_watcher_did_not_see_is_told() {
        let table = summary().table();
        for line in [
            "commits per second                         5",
            "events missing                             1",
            "commit, p50                         250.0 us",
        ] {
            assert!(table.contains(line), "{line}\n{table}");
        }
    }

    #[test]
    fn programs_get_the_same_in_seconds() {
        let json: serde_json::Value = serde_json::from_str(&summary().json()).unwrap();
        assert_eq!(json["commitsPerSecond"], 5.0);
        assert_eq!(json["eventsMissing"], 1);
        assert_eq!(json["commitSeconds"]["longest"], 0.000_25);
        assert_eq!(json["writeToWatcherSeconds"]["p50"], serde_json::Value::Null);
    }
}
