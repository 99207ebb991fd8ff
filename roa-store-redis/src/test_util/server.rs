//! [`RedisServer`]: a process of its own in a directory of its own, gone when it is dropped.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a start is tried whose port another process has taken.
const ATTEMPTS: usize = 5;

/// A private server on a Unix socket and on a free port of the loopback interface, with an append-only file that is
/// synced each second. It is killed when it is dropped, and its files are removed.
///
/// Its methods panic if the server can't be started or stopped: they are for tests.
#[derive(Debug)]
pub struct RedisServer {
    directory: TempDir,
    port: u16,
    arguments: Vec<String>,
    child: Mutex<Child>,
}

impl RedisServer {
    /// Starts one with the usual settings.
    ///
    /// # Panics
    /// If `redis-server` is not installed or does not answer.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with further arguments, such as `["--appendonly", "no"]`; they win over the usual ones.
    ///
    /// # Panics
    /// If `redis-server` is not installed or does not answer.
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Self {
        #[expect(clippy::expect_used, reason = "a test that can't set up must stop")]
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let (port, child) = start_on_some_port(directory.path(), &arguments);
        Self { directory, port, arguments, child: Mutex::new(child) }
    }

    /// A port of the loopback interface that nobody listens on.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn free_port() -> u16 {
        free_port()
    }

    /// Its address on the loopback interface.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its address on the Unix socket.
    #[must_use]
    pub fn unix_url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// Where its files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Kills it, as a crash would.
    ///
    /// # Panics
    /// If it can't be killed.
    pub fn kill(&self) {
        let mut child = self.child();
        // It may have ended by itself; that it has ended is what counts.
        let _ended = child.kill();
        assert!(child.wait().is_ok(), "the server's end can be awaited");
    }

    /// Ends it as an administrator does: it writes what it has to its files first.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(&self) {
        let mut child = self.child();
        let asked = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
        assert!(
            asked.is_ok_and(|status| status.success()) && child.wait().is_ok(),
            "the server ends when it is asked to"
        );
    }

    /// Starts it again on its files, after [`kill`](Self::kill) or [`stop`](Self::stop).
    ///
    /// # Panics
    /// If it does not answer.
    pub fn start_again(&self) {
        let mut attempts = (0..ATTEMPTS).map(|_| spawn(self.directory.path(), self.port, &self.arguments));
        match attempts.find_map(Result::ok) {
            Some(child) => *self.child() = child,
            None => panic!("redis-server ends at once, {ATTEMPTS} times: {:?}", self.arguments),
        }
    }

    /// Kills it and starts it again.
    pub fn restart(&self) {
        self.kill();
        self.start_again();
    }

    /// Stops its process without ending it: it keeps its connections and answers nothing.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child().id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "the server can be sent {signal}");
    }

    /// Sends it one command, and gives the answer.
    ///
    /// # Panics
    /// If it refuses.
    pub fn command<T: redis::FromRedisValue>(&self, arguments: &[&str]) -> T {
        let asked = redis::Client::open(self.unix_url()).and_then(|client| client.get_connection()).and_then(
            |mut connection| {
                let (name, rest) = arguments.split_first().unwrap_or((&"PING", &[]));
                redis::cmd(name).arg(rest).query(&mut connection)
            },
        );
        asked.unwrap_or_else(|why| panic!("{arguments:?}: {why}"))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The bus of a cluster listens 10,000 above: that must be a port as well.
const HIGHEST_PORT: u16 = 55_000;

#[expect(clippy::expect_used, reason = "a test that can't set up must stop")]
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        if port <= HIGHEST_PORT {
            return port;
        }
    }
}

/// Another process may take a port between the look for it and the start.
fn start_on_some_port(directory: &Path, arguments: &[String]) -> (u16, Child) {
    let mut attempts =
        (0..ATTEMPTS).map(|_| free_port()).map(|port| Some((port, spawn(directory, port, arguments).ok()?)));
    match attempts.find_map(|started| started) {
        Some(started) => started,
        None => panic!("redis-server ends at once, {ATTEMPTS} times: {arguments:?}"),
    }
}

/// It ended before it answered.
struct EndedAtOnce;

fn spawn(directory: &Path, port: u16, arguments: &[String]) -> Result<Child, EndedAtOnce> {
    let socket = directory.join("redis.sock");
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
    command.args(["--loglevel", "warning", "--unixsocket"]).arg(&socket).arg("--dir").arg(directory);
    // Else a first replica waits five seconds for others.
    command.args(["--repl-diskless-sync-delay", "0"]);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(why) => panic!("redis-server can't be started: {why}; hint: `cargo xtask test` installs it"),
    };
    let deadline = Instant::now() + PATIENCE;
    while !accepts(&socket) {
        if child.try_wait().ok().flatten().is_some() {
            return Err(EndedAtOnce);
        }
        assert!(Instant::now() < deadline, "redis-server does not answer within {PATIENCE:?}");
        std::thread::yield_now();
    }
    Ok(child)
}

/// Whether it takes commands: one that asks for a password does as well.
fn accepts(socket: &Path) -> bool {
    use std::io::{Read as _, Write as _};
    let asked = std::os::unix::net::UnixStream::connect(socket).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 8];
        stream.read(&mut answer).map(|count| answer[..count].to_vec())
    });
    asked.is_ok_and(|answer| {
        answer.starts_with(b"+PONG") || answer.starts_with(b"-NOAUTH") || answer.starts_with(b"-DENIED")
    })
}
