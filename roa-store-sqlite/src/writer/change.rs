//! What is not a commit: compactions, fences, the end.

use roa_core::{Epoch, Revision, StoreState};
use tokio::sync::oneshot;

use crate::error::SqliteError;
use crate::meta::Meta;
use crate::{compact, fence};

use super::{Pending, Request, Writer};

impl Writer {
    /// Does what is not a commit. Gives whom to tell of the end, if that was asked for.
    pub(super) fn change(&mut self, request: Request) -> Option<oneshot::Sender<()>> {
        match request {
            Request::Commit(Pending { txn, reply }) => self.commit(vec![Pending { txn, reply }]),
            Request::Compact { to, reply } => drop(reply.send(self.compact(to))),
            Request::Fence { expected, highest, reply } => drop(reply.send(self.fence(expected, highest))),
            Request::Close { reply } => return Some(reply),
        }
        None
    }

    /// Raises the floor. The rows below it are deleted in steps, between groups.
    fn compact(&mut self, to: Revision) -> Result<Revision, SqliteError> {
        let min_retain = self.shared.config.min_retain;
        let meta = self.transact(|connection, meta| compact::raise_floor(connection, meta, to, min_retain))?;
        self.upkeep_at = std::time::Instant::now();
        tracing::debug!(store = %self.shared.id, floor = %meta.floor, "compacted the log");
        Ok(meta.floor)
    }

    fn fence(&mut self, expected: Epoch, highest: Revision) -> Result<StoreState, SqliteError> {
        let (now, random) = (self.shared.clock.now(), std::sync::Arc::clone(&self.shared.random));
        let meta =
            self.transact(|connection, meta| fence::fence(connection, meta, (expected, highest), (now, &*random)))?;
        self.shared.feed.publish(&meta, &[]);
        self.mark(&meta);
        Ok(meta.state())
    }

    /// One transaction of SQLite that may change `meta`: it is written and committed if `work` says that it did.
    pub(super) fn transact(
        &mut self,
        work: impl FnOnce(&rusqlite::Connection, &mut Meta) -> Result<bool, SqliteError>,
    ) -> Result<Meta, SqliteError> {
        let done = self.begin().and_then(|mut meta| {
            let connection = self.connection()?;
            if work(connection, &mut meta)? {
                meta.write(connection)?;
                connection.prepare_cached("COMMIT")?.execute([])?;
            }
            Ok(meta)
        });
        // After a commit there is nothing left to roll back; after a failure nobody knows what the connection holds.
        self.rollback();
        if matches!(done, Err(SqliteError::Failed(_))) {
            self.connection = None;
        }
        done
    }
}
