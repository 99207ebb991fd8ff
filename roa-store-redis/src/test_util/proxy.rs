//! [`Proxy`]: a TCP proxy that fails on demand.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server: requests.
    Up,
    /// From the server to the client: answers.
    Down,
}

/// What happens to the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// They pass.
    #[default]
    None,
    /// They pass later.
    Delay(Duration),
    /// So many more pass, on all connections together; then the connection is reset.
    CutAfter(usize),
    /// They are taken, and never passed on.
    Swallow,
}

/// A TCP proxy before a server on the loopback interface, which fails on demand. It ends when it is dropped.
///
/// Its methods panic if there is no port: they are for tests.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    accepting: AbortHandle,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    to: Mutex<u16>,
    refuses: Mutex<bool>,
    faults: Mutex<HashMap<Direction, Fault>>,
    connections: Mutex<Vec<AbortHandle>>,
}

impl Proxy {
    /// Listens on a free port before this one.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(to: u16) -> Self {
        #[expect(clippy::expect_used, reason = "a test that can't set up must stop")]
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        #[expect(clippy::expect_used, reason = "a test that can't set up must stop")]
        let address = listener.local_addr().expect("it has an address");
        let state = State {
            to: Mutex::new(to),
            refuses: Mutex::default(),
            faults: Mutex::default(),
            connections: Mutex::default(),
        };
        let (state, mut tasks) = (Arc::new(state), JoinSet::new());
        let accepting = tasks.spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, accepting, _tasks: tasks }
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its address as a Redis URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Fails so from now on.
    pub fn fail(&self, direction: Direction, fault: Fault) {
        lock(&self.state.faults).insert(direction, fault);
    }

    /// Closes each connection at once that is made from now on, or no longer.
    pub fn refuse(&self, refuses: bool) {
        *lock(&self.state.refuses) = refuses;
    }

    /// Passes on what is connected from now on to another port.
    pub fn retarget(&self, to: u16) {
        *lock(&self.state.to) = to;
    }

    /// Closes all connections.
    pub fn cut(&self) {
        lock(&self.state.connections).drain(..).for_each(|connection| connection.abort());
    }

    /// Ends all faults, and the connections that had them.
    pub fn heal(&self) {
        lock(&self.state.faults).clear();
        self.refuse(false);
        self.cut();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// No code under these locks can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if *lock(&state.refuses) {
            continue;
        }
        let handle = connections.spawn(serve(client, Arc::clone(&state)));
        lock(&state.connections).push(handle);
    }
}

async fn serve(client: TcpStream, state: Arc<State>) {
    let to = *lock(&state.to);
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut ways = JoinSet::new();
    ways.spawn(pass(from_client, to_server, Direction::Up, Arc::clone(&state)));
    ways.spawn(pass(from_server, to_client, Direction::Down, state));
    // When one way ends, the other does: both halves are closed.
    ways.join_next().await;
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, direction: Direction, state: Arc<State>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let fault = lock(&state.faults).get(&direction).copied().unwrap_or_default();
        let passed = match fault {
            Fault::None => to.write_all(&buffer[..count]).await.is_ok(),
            Fault::Swallow => true,
            Fault::Delay(delay) => {
                // Nothing wakes this early: it is the delay that is asked for.
                let _elapsed = tokio::time::timeout(delay, std::future::pending::<()>()).await;
                to.write_all(&buffer[..count]).await.is_ok()
            }
            Fault::CutAfter(bytes) => {
                let rest = bytes.saturating_sub(count);
                lock(&state.faults).insert(direction, Fault::CutAfter(rest));
                let sent = to.write_all(&buffer[..count.min(bytes)]).await.is_ok();
                sent && count < bytes
            }
        };
        if !passed {
            return;
        }
    }
}
