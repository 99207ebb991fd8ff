//! Very many watches of the real program: what each may cost.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::client::{Served, good};

/// Watches at once.
const WATCHES: u64 = 1_000;
/// Bytes of resident memory that a watch may cost, with its connection. Measured: some 30 KiB in an unoptimised build.
const MOST_PER_WATCH: u64 = 96 << 10;
/// How long a watch may wait for something.
const BOUND: Duration = Duration::from_secs(60);

/// Bytes of the program that are in memory.
fn resident(served: &Served) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.roa.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// A watch that has begun.
fn watch(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let path = "/apis/lab.neuroglia.com/v1/labtemplates?watch=true";
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    until(&mut stream, "\r\n\r\n");
    stream
}

/// Reads until this has come.
fn until(stream: &mut TcpStream, part: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(part) {
        let mut piece = [0; 4_096];
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the watch ended before {part:?}: {}", seen.escape_ascii());
        seen.extend_from_slice(&piece[..read]);
    }
}

#[test]
fn t9_a_thousand_watches_cost_little_each_and_all_see_what_is_written() {
    let served = Served::start();
    // What is made once for the first is not counted.
    drop((0..50).map(|_| watch(served.port)).collect::<Vec<_>>());
    let before = resident(&served);
    let mut watches: Vec<_> = (0..WATCHES).map(|_| watch(served.port)).collect();
    good(&served.roa(&["apply", "-f", "templates.yaml"]));
    watches.iter_mut().for_each(|watch| until(watch, "a-longer-name"));
    let each = resident(&served).saturating_sub(before) / WATCHES;
    assert!(each <= MOST_PER_WATCH, "{each} bytes for each watch, expected at most {MOST_PER_WATCH}");
}
