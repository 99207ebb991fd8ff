//! [`Roa`]: the real program, on a port of its own, that can be ended and started again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kube::{Client, Config};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roa_store_redis::test_util::RedisServer;
use tempfile::TempDir;

/// No condition is awaited longer.
pub const BOUND: Duration = Duration::from_secs(60);

/// Which store it has.
pub enum Backend {
    Memory,
    Sqlite,
    Redis(RedisServer),
}

impl Backend {
    pub fn redis() -> Self {
        Self::Redis(RedisServer::start())
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let name = |name: &str| ("ROA_STORE__BACKEND", name.to_owned());
        match self {
            Self::Memory => vec![name("memory")],
            Self::Sqlite => vec![name("sqlite")],
            Self::Redis(server) => vec![name("redis"), ("ROA_STORE__REDIS__URL", server.url())],
        }
    }
}

/// How it ends before it starts again.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// SIGTERM: it drains.
    Told,
    /// SIGKILL: as a crash.
    Killed,
}

/// `roa run` or `roa serve`, ended when dropped.
pub struct Roa {
    child: Child,
    command: &'static str,
    port: u16,
    pub dir: TempDir,
    variables: Vec<(&'static str, String)>,
    /// Whether it has to be asked on its admin socket how it is: its API lets in nobody unknown.
    guarded: bool,
    /// Ends after it.
    _backend: Backend,
}

impl Roa {
    /// The API alone: objects stay as clients write them.
    pub fn serve(backend: Backend) -> Self {
        Self::start("serve", backend, &[])
    }

    /// The API and the controllers.
    pub fn run(backend: Backend) -> Self {
        // Who comes after a crash waits no longer than this for the lease.
        let lease =
            [("ROA_LEASE__DURATION", "2s"), ("ROA_LEASE__RENEW_DEADLINE", "1s"), ("ROA_LEASE__RETRY_PERIOD", "200ms")];
        Self::start("run", backend, &lease)
    }

    pub fn start(command: &'static str, backend: Backend, variables: &[(&'static str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), command, backend, variables, false)
    }

    /// In a directory that is there, with an API that lets in nobody unknown.
    pub fn start_guarded(dir: TempDir, command: &'static str, variables: &[(&'static str, &str)]) -> Self {
        Self::start_in(dir, command, Backend::Sqlite, variables, true)
    }

    fn start_in(
        dir: TempDir,
        command: &'static str,
        backend: Backend,
        variables: &[(&'static str, &str)],
        guarded: bool,
    ) -> Self {
        let port = RedisServer::free_port();
        let own = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let variables = backend.variables().into_iter().chain(own).collect::<Vec<_>>();
        let child = spawn(command, &dir, port, &variables);
        let mut roa = Self { child, command, port, dir, variables, guarded, _backend: backend };
        roa.ready();
        roa
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn client(&self) -> Client {
        let mut config = Config::new(self.url().parse().unwrap());
        config.connect_timeout = Some(BOUND);
        Client::try_from(config).unwrap()
    }

    /// Ends it.
    pub fn end(&mut self, end: End) {
        let signal = match end {
            End::Told => Signal::SIGTERM,
            End::Killed => Signal::SIGKILL,
        };
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
        until("it has ended", || self.child.try_wait().unwrap());
    }

    /// Starts it again, on the same store and port, after [`Roa::end`].
    pub fn begin(&mut self) {
        self.child = spawn(self.command, &self.dir, self.port, &self.variables);
        self.ready();
    }

    pub fn restart(&mut self, end: End) {
        self.end(end);
        self.begin();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("roa.log")).unwrap_or_default()
    }

    /// Waits until it answers.
    fn ready(&mut self) {
        let begun = Instant::now();
        while !self.answers() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < BOUND, "not ready ({ended:?})\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        let ask = || {
            let stream = TcpStream::connect(("127.0.0.1", self.port))?;
            if self.guarded {
                return ready(UnixStream::connect(self.dir.path().join("data/admin.sock"))?);
            }
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            ready(stream)
        };
        ask().is_ok_and(|answer: String| answer.starts_with("HTTP/1.1 200"))
    }
}

fn ready(mut stream: impl Read + Write) -> std::io::Result<String> {
    write!(stream, "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map(|_| answer)
}

impl Drop for Roa {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &str, dir: &TempDir, port: u16, variables: &[(&'static str, String)]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(dir.path().join("roa.log")).unwrap();
    Command::new(program())
        .current_dir(dir.path())
        .args([command, "--data-dir", "data"])
        .env_remove("ROA_CONFIG")
        .env("NO_COLOR", "1")
        .env("ROA_SERVER__LISTEN", format!("127.0.0.1:{port}"))
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The `roa` of this build; built if nobody has.
pub fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = target().join("debug/roa");
        if !program.exists() {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let built =
                Command::new(cargo).args(["build", "--locked", "--package", "roa-bin", "--bin", "roa"]).status();
            assert!(built.unwrap().success(), "cargo build failed");
        }
        program
    })
}

/// The `target` that this test stands in: `target/debug/deps/it-…`.
pub fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_path_buf()
}

/// Looks again and again until there is something.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
