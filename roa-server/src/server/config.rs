//! [`ApiConfig`]: how a server behaves, and what one client can take of it.

use std::time::Duration;

/// How a server behaves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApiConfig {
    /// What clients can take of it.
    pub limits: ApiLimits,
    /// How long a watch lasts whose client does not say; at most twice as long, so that not all end at once.
    pub watch_timeout: Duration,
    /// How often a watch that takes bookmarks says how far it is.
    pub bookmark_interval: Duration,
    /// How long requests and watches may go on when the server stops.
    pub drain: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            limits: ApiLimits::default(),
            watch_timeout: seconds(1800),
            bookmark_interval: seconds(60),
            drain: seconds(10),
        }
    }
}

/// What clients can take of a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApiLimits {
    /// Connections at a time; others wait in the socket's queue.
    pub connections: usize,
    /// Requests at a time that change nothing; watches count only until they have begun.
    pub reads: usize,
    /// Requests at a time that change something.
    pub writes: usize,
    /// Watches at a time.
    pub watches: usize,
    /// Requests of one user at a time, whatever they do: fewer than all writes, so that others find places.
    pub requests_per_user: usize,
    /// Watches of one user at a time.
    pub watches_per_user: usize,
    /// From the begin of a request's head to its end; also how long a connection may do nothing.
    pub head_timeout: Duration,
    /// From a request's head to its answer, besides watches.
    pub request_timeout: Duration,
    /// How long a request's body may take to come. A place is held meanwhile.
    pub body_timeout: Duration,
    /// How long a client may take nothing of an answer before its connection is cut.
    pub write_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// Bytes of events that are kept for others who watch them in the same form.
    pub frame_bytes: usize,
}

impl Default for ApiLimits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections: 4_096,
            reads: 400,
            writes: 200,
            watches: 10_000,
            requests_per_user: 100,
            watches_per_user: 5_000,
            head_timeout: seconds(32),
            request_timeout: seconds(60),
            body_timeout: seconds(20),
            write_timeout: seconds(30),
            handshake_timeout: seconds(10),
            frame_bytes: 16 << 20,
        }
    }
}
