//! Group commit: transactions that came while the disk was busy share its next sync. Each is answered when that is done.

use std::sync::Arc;
use std::time::Instant;

use roa_core::{Batch, Timestamp, Txn};
use rusqlite::Connection;

use crate::SqliteDurability;
use crate::connect;
use crate::error::SqliteError;
use crate::log;
use crate::meta::Meta;
use crate::shared::Concern;
use crate::sidecar::Mark;

use super::apply::{Applied, apply};
use super::quota::admits;
use super::{Pending, Writer};

/// What came of a group that was committed.
struct Committed {
    meta: Meta,
    /// One for each transaction, in order.
    outcomes: Vec<Applied>,
}

/// Why a group was not committed, or perhaps not.
enum Failure {
    /// Nothing of it is in the file.
    Unwritten(SqliteError),
    /// Nobody knows.
    Unclear(SqliteError),
}

impl Writer {
    /// Commits transactions together, and answers each.
    pub(super) fn commit(&mut self, group: Vec<Pending>) {
        if group.is_empty() {
            return;
        }
        let begun = Instant::now();
        match self.attempt(&group) {
            Ok(committed) => {
                self.inbox.answers(group.len(), begun.elapsed());
                self.answer(group, committed);
            }
            // One of them may be too large for what is left of the disk: the others are not to suffer for it.
            Err(Failure::Unwritten(SqliteError::DiskFull)) if group.len() > 1 => {
                group.into_iter().for_each(|pending| self.commit(vec![pending]));
            }
            Err(failure) => self.fail(group, &failure),
        }
    }

    fn attempt(&mut self, group: &[Pending]) -> Result<Committed, Failure> {
        let committed = self.begin().and_then(|meta| self.write(meta, group));
        let committed = committed.inspect_err(|_| self.rollback()).map_err(Failure::Unwritten)?;
        if !committed.outcomes.iter().any(Result::is_ok) {
            self.rollback();
            return Ok(committed);
        }
        self.finish().map(|()| committed)
    }

    /// Begins a transaction that writes. That other processes can't write meanwhile makes what it reads the truth until
    /// its end; one that began by reading could not be turned into one that writes.
    pub(super) fn begin(&mut self) -> Result<Meta, SqliteError> {
        self.check_file()?;
        let (durability, boot) = (self.shared.config.durability, self.boot.clone());
        let busy_timeout = self.shared.config.busy_timeout;
        let connection = self.connection()?;
        loop {
            connect::begin(connection, busy_timeout)?;
            let mut meta = Meta::read(connection)?;
            if durability == SqliteDurability::PowerLoss || meta.unsynced_boot.as_ref() == Some(&boot) {
                return Ok(meta);
            }
            // The disk must know that it may miss commits before it can miss one.
            connection.execute_batch("ROLLBACK; PRAGMA synchronous = FULL")?;
            connect::begin(connection, busy_timeout)?;
            meta = Meta::read(connection)?;
            meta.unsynced_boot = Some(boot.clone());
            meta.write(connection)?;
            connection.execute_batch("COMMIT; PRAGMA synchronous = NORMAL")?;
        }
    }

    fn write(&mut self, mut meta: Meta, group: &[Pending]) -> Result<Committed, SqliteError> {
        let (quota, committed_at) = (self.quota_for(&meta)?, log::truncated(self.shared.clock.now()));
        let connection = self.connection()?;
        let mut outcomes = Vec::with_capacity(group.len());
        for Pending { txn, .. } in group {
            outcomes.push(apply_within(quota.as_ref(), connection, &mut meta, txn, committed_at)?);
        }
        Ok(Committed { meta, outcomes })
    }

    /// Commits the transaction that has begun.
    fn finish(&mut self) -> Result<(), Failure> {
        let committed = self.connection().and_then(|connection| {
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(())
        });
        let Err(error) = committed else { return Ok(()) };
        self.rollback();
        // Where the disk is full, its last frame, which makes the commit one, was not written.
        if matches!(error, SqliteError::DiskFull | SqliteError::Busy) && self.connection.is_some() {
            return Err(Failure::Unwritten(error));
        }
        self.connection = None;
        Err(Failure::Unclear(error))
    }

    fn answer(&mut self, group: Vec<Pending>, Committed { meta, outcomes }: Committed) {
        let batches: Vec<Arc<Batch>> = outcomes.iter().flatten().cloned().collect();
        if !batches.is_empty() {
            self.published(&meta, &batches);
            self.shared.trouble.note(Concern::Writing, None);
        }
        for (Pending { reply, .. }, outcome) in group.into_iter().zip(outcomes) {
            // Who does not wait any more reads what came of it.
            let _dropped = reply.send(outcome.map(|batch| batch.revision));
        }
        if !batches.is_empty() {
            self.mark(&meta);
        }
    }

    fn published(&mut self, meta: &Meta, batches: &[Arc<Batch>]) {
        self.busy = true;
        self.shared.feed.publish(meta, batches);
    }

    /// Writes where the history stands beside the database, which wakes other processes.
    pub(super) fn mark(&mut self, meta: &Meta) {
        self.unsynced_mark = true;
        if let Err(error) = self.sidecar.write(Mark::of(meta)) {
            self.shared.trouble.note(Concern::Growing, Some(format!("the file beside the database: {error}")));
        }
    }

    fn fail(&mut self, group: Vec<Pending>, failure: &Failure) {
        let (Failure::Unwritten(error) | Failure::Unclear(error)) = failure;
        if !matches!(error, SqliteError::Busy) {
            self.shared.trouble.note(Concern::Writing, Some(error.to_string()));
        }
        for Pending { txn, reply } in group {
            let outcome = match failure {
                Failure::Unwritten(error) => error.refused(),
                Failure::Unclear(error) => error.unclear(txn.id),
            };
            let _dropped = reply.send(Err(outcome));
        }
    }
}

/// Beyond the quota little is done.
fn apply_within(
    quota: Option<&SqliteError>,
    connection: &Connection,
    meta: &mut Meta,
    txn: &Txn,
    committed_at: Timestamp,
) -> Result<Applied, SqliteError> {
    match quota {
        Some(full) if !admits(full, connection, txn)? => Ok(Err(full.refused())),
        _ => apply(connection, meta, txn, committed_at),
    }
}
