//! [`Link`]: the connection that all requests share, and the task that makes it anew when it fails.
//!
//! Requests go over one connection that multiplexes. When it fails, those under way learn that their outcome is unclear;
//! those that come later wait for the next one, and were certainly not sent if there is none in time.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use roa_core::RandomExt;
use tokio::sync::watch;

use crate::error::RedisStoreError;
use crate::shared::{Concern, Shared};
use crate::{connect, lineage};

/// The connection that requests share.
#[derive(Debug)]
pub(crate) struct Link {
    state: watch::Sender<State>,
    /// How long a request waits for a connection.
    patience: Duration,
}

#[derive(Debug, Clone)]
enum State {
    Up(Line),
    Down { number: u64, reason: Arc<str> },
    Closed,
}

/// One connection.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) connection: MultiplexedConnection,
    number: u64,
}

impl Link {
    pub(crate) fn new(connection: MultiplexedConnection, patience: Duration) -> Self {
        Self { state: watch::Sender::new(State::Up(Line { connection, number: 1 })), patience }
    }

    /// The connection, when there is one.
    pub(crate) async fn line(&self) -> Result<Line, RedisStoreError> {
        match &*self.state.borrow() {
            State::Up(line) => return Ok(line.clone()),
            State::Closed => return Err(RedisStoreError::Closed),
            State::Down { .. } => {}
        }
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Down { .. }));
        let settled = match tokio::time::timeout(self.patience, settled).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => State::Closed,
            Err(_) => self.state.borrow().clone(),
        };
        match settled {
            State::Up(line) => Ok(line),
            State::Closed => Err(RedisStoreError::Closed),
            State::Down { reason, .. } => Err(RedisStoreError::Refused(format!("no connection to redis: {reason}"))),
        }
    }

    /// Gives a connection up if the error says that it, or the server behind it, is of no use.
    pub(crate) fn note(&self, line: &Line, error: &RedisStoreError) {
        if error.disconnects() || error.is_elsewhere() {
            let reason: Arc<str> = error.to_string().into();
            self.state.send_if_modified(|state| match state {
                State::Up(up) if up.number == line.number => {
                    *state = State::Down { number: line.number, reason };
                    true
                }
                _ => false,
            });
        }
    }

    fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(_))
    }

    /// Gives up whatever connection there is.
    pub(crate) fn distrust(&self, reason: &str) {
        self.state.send_if_modified(|state| match state {
            State::Up(Line { number, .. }) => {
                *state = State::Down { number: *number, reason: reason.into() };
                true
            }
            _ => false,
        });
    }

    /// Waits until there is a connection, or the store is closed.
    pub(crate) async fn recovered(&self) {
        // The sender lives as long as this link.
        let mut state = self.state.subscribe();
        let _recovered = state.wait_for(|state| !matches!(state, State::Down { .. })).await;
    }

    pub(crate) fn close(&self) {
        self.state.send_replace(State::Closed);
    }

    /// Resolves when the link is closed.
    pub(crate) async fn closed(&self) {
        // The sender lives as long as this link.
        let mut state = self.state.subscribe();
        let _closed = state.wait_for(|state| matches!(state, State::Closed)).await;
    }

    fn settle(&self, next: State) {
        self.state.send_if_modified(|state| match state {
            State::Closed => false,
            _ => {
                *state = next;
                true
            }
        });
    }
}

/// Makes the connection anew whenever it fails, until the store is closed.
pub(crate) async fn keep(shared: Arc<Shared>, which: fn(&Shared) -> Option<&Link>) {
    let Some(link) = which(&shared) else { return };
    let mut state = link.state.subscribe();
    let mut backoff = Backoff::new(&shared);
    loop {
        let Ok(down) = state.wait_for(|state| !matches!(state, State::Up(_))).await.map(|state| state.clone()) else {
            return;
        };
        let State::Down { number, .. } = down else { return };
        match reconnect(&shared).await {
            Ok(connection) => {
                backoff.reset();
                link.settle(State::Up(Line { connection, number: number + 1 }));
                if shared.links().all(Link::is_up) {
                    shared.trouble.note(Concern::Connecting, None);
                }
            }
            Err(error) => {
                shared.trouble.note(Concern::Connecting, Some(error.to_string()));
                link.settle(State::Down { number, reason: error.to_string().into() });
                backoff.wait(&shared).await;
            }
        }
    }
}

async fn reconnect(shared: &Shared) -> Result<MultiplexedConnection, RedisStoreError> {
    let mut connected = connect::primary(&shared.address, &shared.config, shared.config.response_timeout).await?;
    lineage::settle(shared, &mut connected.connection).await?;
    Ok(connected.connection)
}

/// How long to wait between attempts: twice as long each time, with jitter, up to a bound.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    bounds: (Duration, Duration),
}

impl Backoff {
    pub(crate) fn new(shared: &Shared) -> Self {
        let bounds = shared.config.reconnect;
        Self { next: bounds.0, bounds }
    }

    pub(crate) const fn reset(&mut self) {
        self.next = self.bounds.0;
    }

    /// Waits, or until the store is closed.
    pub(crate) async fn wait(&mut self, shared: &Shared) {
        let wait = shared.random.jitter(self.next, 0.5);
        self.next = (self.next * 2).min(self.bounds.1);
        // That it was not closed meanwhile is what is waited for.
        let _elapsed = tokio::time::timeout(wait, shared.link.closed()).await;
    }
}
