//! How commits of other processes are seen: a thread that watches the file beside the database, and asks SQLite itself
//! now and then in case a notification is lost.
//!
//! As long as no other process has the file open, only that one opens it is watched for: each of this process's own
//! commits would wake the thread for nothing.

use std::io::{self, PipeReader, PipeWriter};
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

/// The thread.
pub(crate) struct FollowerHandle {
    thread: JoinHandle<()>,
    /// Wakes it when this is dropped.
    alive: PipeWriter,
}

impl FollowerHandle {
    /// Ends it, after the change feeds have ended.
    pub(crate) fn close(self) {
        drop(self.alive);
        if self.thread.join().is_err() {
            tracing::error!("the follower of the SQLite store panicked");
        }
    }
}

/// Starts the thread. It ends with the change feeds.
pub(crate) fn start(shared: Arc<Shared>) -> io::Result<FollowerHandle> {
    let path = shared.config.beside("-head");
    let (sidecar, inotify) = (Sidecar::open(&path)?, Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?);
    sidecar.enter()?;
    let (ended, alive) = io::pipe()?;
    let mut follower = Follower { shared, sidecar, inotify, ended, watched: None, connection: None, version: None };
    // Others that are there already may commit at any time; those to come are noticed.
    follower.watch(true)?;
    let thread = thread::Builder::new().name("roa-sqlite-follow".to_owned()).spawn(move || follower.run())?;
    Ok(FollowerHandle { thread, alive })
}

struct Follower {
    shared: Arc<Shared>,
    sidecar: Sidecar,
    inotify: Inotify,
    /// Whose other end is dropped at the end.
    ended: PipeReader,
    /// Whether each change is watched, or only the next opening.
    watched: Option<bool>,
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
    fn wait(&mut self) -> io::Result<bool> {
        let descriptors = [self.inotify.as_fd(), self.ended.as_fd()];
        let mut descriptors = descriptors.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN));
        let woken = match poll(&mut descriptors, timeout(self.shared.config.poll_interval)) {
            Ok(0) => false,
            Ok(_) => self.drain().map(|()| true)?,
            Err(Errno::EINTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        // Who opens the file says that it is there a moment later.
        let opened = woken && self.watched == Some(false);
        self.watch(opened || self.sidecar.others()?)?;
        Ok(woken)
    }

    fn watch(&mut self, changes: bool) -> io::Result<()> {
        if self.watched != Some(changes) {
            let events = if changes { AddWatchFlags::IN_MODIFY } else { AddWatchFlags::IN_OPEN };
            // It takes the place of the one before.
            self.inotify.add_watch(&self.shared.config.beside("-head"), events)?;
            self.watched = Some(changes);
        }
        Ok(())
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
