//! [`Machine`]: what the figures were measured on, without its name.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::command::Run;

/// What of a machine matters to the figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    /// A line for each fact.
    pub(super) facts: Vec<String>,
}

impl Machine {
    /// Looks at this one.
    pub(super) fn look(root: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".to_owned());
        let memory = field(&read("/proc/meminfo"), "MemTotal").and_then(|text| gibibytes(&text));
        let version = |program: &str, arguments: &[&str]| Run::program(root, program, arguments).output().ok();
        let release = read("/proc/sys/kernel/osrelease");
        let kernel = release.split(['-', '\n']).next().unwrap_or_default();
        let mut facts = vec![format!("{cores} cores, shared: {processor}")];
        facts.extend(memory.map(|memory| format!("{memory} GiB of memory")));
        facts.push(format!("Linux {kernel}"));
        facts.extend(version("rustc", &["--version"]));
        for (program, argument) in [("redis-server", "--version"), ("etcd", "--version"), ("nats-server", "--version")]
        {
            facts.extend(version(program, &[argument]).map(|text| short(&text)));
        }
        Self { facts }
    }
}

fn gibibytes(text: &str) -> Option<u64> {
    let kibibytes: u64 = text.strip_suffix("kB")?.trim().parse().ok()?;
    Some((kibibytes + (1 << 19)) >> 20)
}

/// The first words of a long version line.
fn short(text: &str) -> String {
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_rounded_to_gibibytes() {
        assert_eq!(gibibytes("25165824 kB"), Some(24));
        assert_eq!(gibibytes("24700000 kB"), Some(24));
        assert_eq!(gibibytes("much"), None);
    }
}
