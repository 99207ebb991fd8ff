//! [`Proxy`]: a TCP proxy that fails on demand.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
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
    /// So many more pass, on all connections together; then the connection is closed.
    CutAfter(usize),
    /// So many more pass, on all connections together; then the connection is reset.
    ResetAfter(usize),
    /// They are taken, and never passed on.
    Swallow,
    /// What ends so ends so instead.
    Replace(&'static [u8], &'static [u8]),
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
    /// Told that they are to go to another port are the connections that have gone to the one before since the last swap.
    swapped: Mutex<watch::Sender<bool>>,
    /// Connections are numbered: those up to this one pass nothing any more.
    frozen: AtomicU64,
    accepted: AtomicU64,
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
            swapped: Mutex::default(),
            frozen: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
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

    /// Passes on everything to another port from now on, what is connected already as well: its clients notice nothing.
    /// What is under way is lost. When this returns, the port before gets nothing more.
    pub async fn swap(&self, to: u16) {
        self.retarget(to);
        let before = std::mem::take(&mut *lock(&self.state.swapped));
        before.send_replace(true);
        // Each connection holds a receiver for as long as it passes on to the port before.
        before.closed().await;
    }

    /// The connections that there are stay open and pass nothing any more; new ones do.
    pub fn freeze(&self) {
        self.state.frozen.store(self.state.accepted.load(Ordering::SeqCst), Ordering::SeqCst);
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

/// Passes bytes until one side ends, to another server after each swap.
async fn serve(mut client: TcpStream, state: Arc<State>) {
    let number = state.accepted.fetch_add(1, Ordering::SeqCst) + 1;
    loop {
        // First the receiver: a swap in between is told by it.
        let mut swapped = lock(&state.swapped).subscribe();
        let to = *lock(&state.to);
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
        let passing = pass_both_ways(&mut client, server, &state, number);
        let ending = match select(pin!(swapped.wait_for(|swapped| *swapped)), pin!(passing)).await {
            Either::Left(_) => Ending::Swapped,
            Either::Right((ending, _)) => ending,
        };
        match ending {
            Ending::Swapped => {}
            Ending::Closed => return,
            Ending::Reset => {
                // What is gone already can't be reset, and need not be.
                let _gone = client.set_zero_linger();
                return;
            }
        }
    }
}

/// When one way ends, the other does.
async fn pass_both_ways(client: &mut TcpStream, mut server: TcpStream, state: &State, number: u64) -> Ending {
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let up = Way { from: from_client, to: to_server, direction: Direction::Up };
    let down = Way { from: from_server, to: to_client, direction: Direction::Down };
    let (up, down) = (pin!(up.pass(state, number)), pin!(down.pass(state, number)));
    match select(up, down).await {
        Either::Left((ending, _)) | Either::Right((ending, _)) => ending,
    }
}

enum Ending {
    Closed,
    Reset,
    Swapped,
}

struct Way<'a> {
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    direction: Direction,
}

impl Way<'_> {
    async fn pass(mut self, state: &State, number: u64) -> Ending {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let Ok(count @ 1..) = self.from.read(&mut buffer).await else { return Ending::Closed };
            let (fault, frozen) = (fault(state, self.direction, count), state.frozen.load(Ordering::SeqCst));
            let passing = match fault {
                _ if number <= frozen => 0,
                Fault::Swallow => 0,
                Fault::CutAfter(bytes) | Fault::ResetAfter(bytes) => bytes.min(count),
                Fault::Replace(old, _) if buffer[..count].ends_with(old) => count - old.len(),
                Fault::None | Fault::Delay(_) | Fault::Replace(..) => count,
            };
            if let Fault::Delay(delay) = fault {
                // Nothing wakes this early: it is the delay that is asked for.
                let _elapsed = tokio::time::timeout(delay, std::future::pending::<()>()).await;
            }
            if self.to.write_all(&buffer[..passing]).await.is_err() {
                return Ending::Closed;
            }
            match fault {
                Fault::Replace(_, new) if passing < count && self.to.write_all(new).await.is_err() => {
                    return Ending::Closed;
                }
                Fault::CutAfter(bytes) if bytes <= count => return Ending::Closed,
                Fault::ResetAfter(bytes) if bytes <= count => return Ending::Reset,
                _ => {}
            }
        }
    }
}

/// What happens to so many bytes that came.
fn fault(state: &State, direction: Direction, count: usize) -> Fault {
    let mut faults = lock(&state.faults);
    let fault = faults.entry(direction).or_default();
    let now = *fault;
    match fault {
        Fault::CutAfter(bytes) | Fault::ResetAfter(bytes) => *bytes = bytes.saturating_sub(count),
        _ => {}
    }
    now
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// How long the tests wait for what must come, and for what must not.
    const BOUND: Duration = Duration::from_secs(10);
    const SILENCE: Duration = Duration::from_millis(100);

    /// Answers each byte by this one.
    async fn server(answer: u8) -> (u16, JoinSet<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (port, mut tasks) = (listener.local_addr().unwrap().port(), JoinSet::new());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                connections.spawn(async move {
                    while client.read_u8().await.is_ok() && client.write_u8(answer).await.is_ok() {}
                });
            }
        });
        (port, tasks)
    }

    async fn client(proxy: &Proxy) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap()
    }

    async fn ask(client: &mut TcpStream) -> std::io::Result<u8> {
        client.write_u8(0).await?;
        tokio::time::timeout(BOUND, client.read_u8()).await?
    }

    async fn is_silent(client: &mut TcpStream) -> bool {
        client.write_u8(0).await.is_ok() && tokio::time::timeout(SILENCE, client.read_u8()).await.is_err()
    }

    #[tokio::test]
    async fn a_swap_leads_a_connection_that_lives_to_another_server() {
        let ((one, _one), (two, _two)) = (server(1).await, server(2).await);
        let proxy = Proxy::start(one).await;
        let mut before = client(&proxy).await;
        assert_eq!(ask(&mut before).await.unwrap(), 1);
        proxy.retarget(two);
        assert_eq!(ask(&mut before).await.unwrap(), 1);
        assert_eq!(ask(&mut client(&proxy).await).await.unwrap(), 2);
        proxy.swap(two).await;
        assert_eq!(ask(&mut before).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn what_is_frozen_is_silent_and_what_comes_later_passes() {
        let (port, _server) = server(1).await;
        let proxy = Proxy::start(port).await;
        let mut frozen = client(&proxy).await;
        assert_eq!(ask(&mut frozen).await.unwrap(), 1);
        proxy.freeze();
        assert!(is_silent(&mut frozen).await);
        assert_eq!(ask(&mut client(&proxy).await).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_connection_is_cut_or_reset_after_so_many_bytes() {
        let (port, _server) = server(1).await;
        let proxy = Proxy::start(port).await;
        for (fault, end) in
            [(Fault::CutAfter(2), ErrorKind::UnexpectedEof), (Fault::ResetAfter(2), ErrorKind::ConnectionReset)]
        {
            proxy.fail(Direction::Down, fault);
            let mut cut = client(&proxy).await;
            assert_eq!((ask(&mut cut).await.unwrap(), ask(&mut cut).await.unwrap()), (1, 1));
            assert_eq!(tokio::time::timeout(BOUND, cut.read_u8()).await.unwrap().unwrap_err().kind(), end);
        }
    }

    #[tokio::test]
    async fn what_is_healed_passes_again() {
        let (port, _server) = server(1).await;
        let proxy = Proxy::start(port).await;
        proxy.fail(Direction::Up, Fault::Swallow);
        assert!(is_silent(&mut client(&proxy).await).await);
        proxy.heal();
        proxy.refuse(true);
        assert!(ask(&mut client(&proxy).await).await.is_err());
        proxy.heal();
        assert_eq!(ask(&mut client(&proxy).await).await.unwrap(), 1);
    }
}
