//! [`Server`]: a program that is killed with this, on a free port of the loopback interface.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to listen.
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A running server, and its files.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    #[expect(dead_code, reason = "held, not used")]
    directory: TempDir,
}

impl Server {
    /// Starts `program`; `arguments` says with which, for its folder and two free ports. `None` if it is not installed.
    pub(crate) fn start(program: &str, arguments: impl Fn(&Path, [u16; 2]) -> Vec<String>) -> Option<Self> {
        // On the disk that the other stores are on.
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let ports = [free_port(), free_port()];
        let mut command = Command::new(program);
        command
            .args(arguments(directory.path(), ports))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => panic!("failed to start {program}: {error}"),
        };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", ports[0])).is_err() {
            assert!(child.try_wait().unwrap().is_none() && begun.elapsed() < LIMIT, "{program} does not listen");
            std::thread::park_timeout(POLL);
        }
        Some(Self { child, port: ports[0], directory })
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
