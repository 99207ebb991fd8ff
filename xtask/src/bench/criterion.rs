//! Reads the files that criterion leaves.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::figures::Figures;

/// What criterion says of a benchmark.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    throughput: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

impl Benchmark {
    fn id(&self) -> String {
        let parts = [Some(&self.group_id), self.function_id.as_ref(), self.value_str.as_ref()];
        parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("/")
    }

    fn elements(&self) -> Option<u64> {
        self.throughput.as_ref()?.get("Elements")?.as_u64()
    }
}

/// Adds the round that stands below `folder`.
///
/// # Errors
/// A file can't be read or understood.
pub(super) fn collect(folder: &Path, round: usize, figures: &mut Figures) -> Result<(), String> {
    for new in folders_named_new(folder) {
        let benchmark: Benchmark = json(&new.join("benchmark.json"))?;
        let estimates: Estimates = json(&new.join("estimates.json"))?;
        figures.add(benchmark.id(), benchmark.elements(), round, estimates.median.point_estimate);
    }
    Ok(())
}

fn folders_named_new(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = entries.filter(|path| path.is_dir());
    folders.flat_map(|path| if path.ends_with("new") { vec![path] } else { folders_named_new(&path) }).collect()
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("failed to read {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("failed to understand {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_counts_are_read_as_criterion_writes_them() {
        let text = r#"{"group_id":"sqlite/commit/16","function_id":"raw","value_str":null,
            "throughput":{"Elements":16},"full_id":"x","directory_name":"y","title":"z"}"#;
        let benchmark: Benchmark = serde_json::from_str(text).unwrap();
        assert_eq!((benchmark.id().as_str(), benchmark.elements()), ("sqlite/commit/16/raw", Some(16)));
        let text = r#"{"group_id":"g","function_id":"f","value_str":"10","throughput":{"Bytes":16}}"#;
        let benchmark: Benchmark = serde_json::from_str(text).unwrap();
        assert_eq!((benchmark.id().as_str(), benchmark.elements()), ("g/f/10", None));
    }
}
