//! A running `roa run`, as tests see it: its log, its admin socket, its labs' processes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::labs::{Address, kill_all_below};

/// No condition is awaited longer.
const BOUND: Duration = Duration::from_secs(30);

/// A running `roa run`, ended and cleaned up after whatever happens.
pub struct Roa {
    child: Child,
    pub dir: Rc<TempDir>,
    data: &'static str,
    crashed: bool,
}

pub fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roa"));
    command.current_dir(dir).env_remove("ROA_CONFIG").env("NO_COLOR", "1").env("ROA_SERVER__LISTEN", "");
    command
}

impl Roa {
    /// In a directory of its own, with these manifests.
    pub fn start(manifests: &[(&str, &str)]) -> Self {
        Self::start_with(manifests, &[])
    }

    /// The same with these variables.
    pub fn start_with(manifests: &[(&str, &str)], variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("manifests");
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in manifests {
            std::fs::write(folder.join(name), text).unwrap();
        }
        Self::start_in(Rc::new(dir), "data", variables)
    }

    /// In a directory that is there, with these variables.
    pub fn start_in(dir: Rc<TempDir>, data: &'static str, variables: &[(&str, &str)]) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(dir.path().join(format!("{data}.log")));
        let mut run = command(dir.path());
        run.args(["run", "--data-dir", data, "--log-format", "json"]).envs(variables.iter().copied());
        if std::fs::read_dir(dir.path().join("manifests")).unwrap().next().is_some() {
            run.args(["-f", "manifests"]);
        }
        let child = run.stdin(Stdio::null()).stderr(log.unwrap()).spawn().unwrap();
        Self { child, dir, data, crashed: false }
    }

    pub fn ask(&self, path: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.dir.path().join(self.data).join("admin.sock")).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: roa\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The store that it uses by default.
    pub fn store(&self) -> Address {
        Address::Sqlite(self.dir.path().join(self.data).join("roa.db"))
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("{}.log", self.data))).unwrap_or_default()
    }

    /// The record of the only lab's process.
    pub fn state(&self) -> Option<serde_json::Value> {
        let labs = std::fs::read_dir(self.dir.path().join(self.data).join("labs")).ok()?;
        let lab = labs.filter_map(Result::ok).next()?;
        serde_json::from_slice(&std::fs::read(lab.path().join("state.json")).ok()?).ok()
    }

    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(begun.elapsed() < BOUND, "{what}: not within {BOUND:?}\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    pub fn terminate(&mut self) -> ExitStatus {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        self.ended()
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < BOUND, "it did not end\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Ends it at once, as a crash would; its labs live on.
    pub fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.crashed = true;
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }
}

impl Drop for Roa {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.crashed {
            return;
        }
        kill_all_below(&self.dir.path().join(self.data));
    }
}

/// The first lab's endpoint, from the record of its process.
pub fn port(state: &serde_json::Value) -> Option<u16> {
    let port = state.pointer("/child/port").or_else(|| state.pointer("/port"))?;
    u16::try_from(port.as_u64()?).ok()
}

pub fn visit(port: u16) -> Option<String> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.contains("200").then_some(answer)
}

pub fn ready_labs(roa: &Roa) -> Option<()> {
    roa.ask("/metrics")?.contains("roa_lab_labs{state=\"ready\"} 1").then_some(())
}
