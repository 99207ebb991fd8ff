//! This program, started again as a process that can be killed.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

use roa_core::{Epoch, StoreState};
use roa_store_sqlite::SqliteDurability;

use crate::{PATIENCE, two_processes, workload};

/// Says that a process is a child, and what it is to do.
const VARIABLE: &str = "ROA_CRASH_CHILD";

/// What a child does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It writes whatever comes to its mind until it is killed.
    Writer,
    /// It increments counters as often as it was told to, when it is told to begin.
    Counter,
}

/// What a child is to do.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) role: Role,
    pub(crate) seed: u64,
    pub(crate) durability: SqliteDurability,
    pub(crate) path: PathBuf,
}

impl Order {
    pub(crate) fn new(role: Role, seed: u64, path: &Path) -> Self {
        Self { role, seed, durability: SqliteDurability::PowerLoss, path: path.to_owned() }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let synced = self.durability == SqliteDurability::PowerLoss;
        write!(f, "{:?} {} {synced} {}", self.role, self.seed, self.path.display())
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.splitn(4, ' ').collect();
        let [role, seed, synced, path] = parts[..] else { return Err(format!("{text:?} is no order")) };
        let role = if role == "Writer" { Role::Writer } else { Role::Counter };
        let durability = if synced == "true" { SqliteDurability::PowerLoss } else { SqliteDurability::ProcessCrash };
        Ok(Self { role, seed: seed.parse().unwrap(), durability, path: path.into() })
    }
}

/// Does nothing, unless this process was started as a child.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process() {
    let Ok(order) = std::env::var(VARIABLE) else { return };
    // The harness has written the begin of a line.
    say("");
    let order: Order = order.parse().unwrap();
    match order.role {
        Role::Writer => workload::run(&order).await,
        Role::Counter => two_processes::count(&order).await,
    }
}

/// What a child tells its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// It has opened the file, which stands there.
    Opened { epoch: Epoch, floor: u64, head: u64 },
    /// A commit was acknowledged: the names of its keys, and what was written; nothing where it was a deletion.
    Acked { revision: u64, writes: Vec<(String, Option<String>)> },
    /// It has done what it was told to.
    Done,
    /// Something that must not happen.
    Unexpected(String),
}

impl Line {
    pub(crate) fn opened(state: StoreState) -> Self {
        Self::Opened { epoch: state.epoch, floor: state.floor.get(), head: state.head.get() }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { epoch, floor, head } => {
                write!(f, "opened {} {} {floor} {head}", epoch.counter, epoch.nonce)
            }
            Self::Acked { revision, writes } => {
                write!(f, "acked {revision}")?;
                writes.iter().try_for_each(|(name, text)| write!(f, " {name} {}", text.as_deref().unwrap_or("-")))
            }
            Self::Done => f.write_str("done"),
            Self::Unexpected(what) => write!(f, "unexpected {what}"),
        }
    }
}

/// `None` for what the test harness writes.
fn parse(line: &str) -> Option<Line> {
    let (word, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
    let words: Vec<_> = rest.split(' ').collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    let text = |text: &str| (text != "-").then(|| text.to_owned());
    match word {
        "opened" => {
            let epoch = Epoch { counter: number(0), nonce: number(1) };
            Some(Line::Opened { epoch, floor: number(2), head: number(3) })
        }
        "acked" => {
            let writes = words[1..].chunks_exact(2).map(|pair| (pair[0].to_owned(), text(pair[1]))).collect();
            Some(Line::Acked { revision: number(0), writes })
        }
        "done" => Some(Line::Done),
        "unexpected" => Some(Line::Unexpected(rest.to_owned())),
        _ => None,
    }
}

/// Tells the parent.
pub(crate) fn say(line: impl fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(format!("{line}\n").as_bytes()).unwrap();
    stdout.flush().unwrap();
}

/// A child that runs. It is killed at the latest when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    lines: Receiver<Line>,
}

impl Running {
    pub(crate) fn start(order: &Order) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child::process", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, order.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || listen(stdout, &sender));
        Self { child, lines }
    }

    /// What it says next; `None` when it has ended.
    pub(crate) fn next(&self) -> Option<Line> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(Line::Unexpected(what)) => panic!("a child saw {what}"),
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("a child says nothing any more"),
        }
    }

    /// Tells it to begin.
    pub(crate) fn begin(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// Ends it as `kill -9` does. Gives what it had said until then and nobody had listened to.
    pub(crate) fn kill(mut self) -> Vec<Line> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Passes on whole lines; the last may be the begin of one.
fn listen(stdout: ChildStdout, lines: &Sender<Line>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    while stdout.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line.ends_with('\n') {
        if parse(&line).is_some_and(|line| lines.send(line).is_err()) {
            return;
        }
        line.clear();
    }
}
