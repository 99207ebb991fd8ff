//! What is measured but is no time of criterion's: bytes, shares, rates. `cargo xtask bench` reads the lines.

#![expect(clippy::print_stdout, reason = "the one who reads the benches' output")]

/// Tells one figure.
pub fn figure(id: &str, value: f64) {
    println!("measured: {id} {value}");
}

/// Tells why there will be no figure.
pub fn skipped(id: &str, reason: &str) {
    println!("skipped: {id}: {reason}");
}

/// A line of a process's status, in bytes: `VmRSS:` is what it holds now, `VmHWM:` what it held at most; 0 where there is
/// none. `process` is a number, or `self`.
#[must_use]
pub fn resident(process: &str, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let found = status.lines().find_map(|found| found.strip_prefix(line));
    found.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) << 10
}

/// The middle one.
///
/// # Panics
/// Without any.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
