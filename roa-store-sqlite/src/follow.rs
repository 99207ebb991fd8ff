//! How commits of other processes are seen: a thread that watches the file beside the database, and asks SQLite itself
//! now and then in case a notification is lost.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use rusqlite::Connection;

use crate::connect;
use crate::error::SqliteError;
use crate::log;
use crate::meta::Meta;
use crate::shared::{Concern, Shared};
use crate::sidecar::Sidecar;

/// How many batches of others are taken into memory at a time. More than that are left to the feeds.
const BATCHES: usize = 1_024;

/// Starts the thread. It ends with the change feeds.
pub(crate) fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let path = shared.config.beside("-head");
    let (sidecar, inotify) = (Sidecar::open(&path)?, watch(&path)?);
    let mut follower = Follower { shared, sidecar, inotify, connection: None, version: None };
    thread::Builder::new().name("roa-sqlite-follow".to_owned()).spawn(move || follower.run())
}

fn watch(path: &std::path::Path) -> io::Result<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(path, AddWatchFlags::IN_MODIFY)?;
    Ok(inotify)
}

struct Follower {
    shared: Arc<Shared>,
    sidecar: Sidecar,
    inotify: Inotify,
    connection: Option<Connection>,
    /// SQLite's number of what others have committed, as last seen.
    version: Option<i64>,
}

impl Follower {
    fn run(&mut self) {
        while !self.shared.feed.ended() {
            let looked = self.wait().map_err(SqliteError::from).and_then(|woken| self.look(woken));
            self.shared.trouble.note(Concern::Following, looked.as_ref().err().map(ToString::to_string));
            if looked.is_err() {
                // What another connection says of versions can't be compared.
                (self.connection, self.version) = (None, None);
            }
        }
    }

    /// Waits for a change of the file beside the database, or for the interval. Whether it was a change.
    fn wait(&self) -> io::Result<bool> {
        let mut descriptors = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, timeout(self.shared.config.poll_interval)) {
            Ok(0) | Err(Errno::EINTR) => Ok(false),
            Ok(_) => self.drain().map(|()| true),
            Err(error) => Err(error.into()),
        }
    }

    fn drain(&self) -> io::Result<()> {
        match self.inotify.read_events() {
            Ok(_) | Err(Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn look(&mut self, woken: bool) -> Result<(), SqliteError> {
        if woken && self.is_known()? {
            return Ok(());
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect::reader(&self.shared.config)?,
        };
        let connection = self.connection.insert(connection);
        let version = connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.version == Some(version) {
            return Ok(());
        }
        publish(&self.shared, connection)?;
        self.version = Some(version);
        Ok(())
    }

    /// Whether the change was one of this process's own commits.
    fn is_known(&self) -> Result<bool, SqliteError> {
        let (epoch, head) = self.shared.feed.newest();
        Ok(self.sidecar.read()?.is_some_and(|mark| mark.epoch == epoch && mark.head <= head))
    }
}

/// Publishes what others have committed.
fn publish(shared: &Shared, connection: &Connection) -> Result<(), SqliteError> {
    let (epoch, known) = shared.feed.newest();
    connection.prepare_cached("BEGIN")?.execute([])?;
    let read = Meta::read(connection).and_then(|meta| {
        let new = meta.epoch == epoch && meta.head > known && meta.floor <= known;
        let batches =
            if new { log::after(connection, known, BATCHES, shared.config.recent_max_bytes)? } else { vec![] };
        Ok((meta, batches))
    });
    connection.prepare_cached("ROLLBACK")?.execute([])?;
    let (meta, batches) = read?;
    shared.feed.publish(&meta, &batches);
    Ok(())
}

fn timeout(interval: Duration) -> PollTimeout {
    let millis = u16::try_from(interval.as_millis()).unwrap_or(u16::MAX).max(1);
    PollTimeout::from(millis)
}
