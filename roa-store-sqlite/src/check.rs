//! Whether a store is whole: its pages, its log, and that the log leads to what is there.

use std::collections::HashMap;

use roa_core::{Batch, Key, KeyPrefix, Revision, StoreState, TxnId};
use rusqlite::{Connection, OpenFlags};

use crate::SqliteConfig;
use crate::backup::aside;
use crate::connect;
use crate::error::{OpenError, SqliteError};
use crate::meta::Meta;
use crate::objects::Stretch;
use crate::place::{self, Found};
use crate::{log, objects};

/// How many problems are named.
const PROBLEMS: usize = 20;
/// How many rows are read at a time.
const STEP: usize = 1_000;
const STEP_BYTES: usize = 16 << 20;

/// What a look through a whole store found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// Where its history stands.
    pub state: StoreState,
    /// How many batches its log has.
    pub batches: u64,
    /// How many entries are live.
    pub entries: u64,
    /// What is wrong, at most 20 of it; nothing, if it is whole.
    pub problems: Vec<String>,
}

/// Looks through a store's pages, its log and its entries, and compares them. It may be in use meanwhile.
///
/// # Errors
/// [`OpenError`] if the file is no store, or so damaged that nothing of it can be read.
///
/// # Cancel safety
/// Safe: nothing changes.
pub async fn check(config: &SqliteConfig) -> Result<CheckReport, OpenError> {
    let (config, path) = (config.clone(), config.path.clone());
    let checked = aside("roa-sqlite-check", move || check_file(&config)).await;
    checked.unwrap_or_else(|| Err(OpenError::sqlite(&path, &"the thread that checks it ended")))
}

fn check_file(config: &SqliteConfig) -> Result<CheckReport, OpenError> {
    let path = &config.path;
    if place::inspect(path)? == Found::Nothing {
        return Err(OpenError::io(path, std::io::ErrorKind::NotFound.into()));
    }
    let connection = connect::plain(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let report = connection.and_then(|connection| check_snapshot(&connection));
    report.map_err(|error| OpenError::unreadable(path, error))
}

fn check_snapshot(connection: &Connection) -> Result<CheckReport, SqliteError> {
    connection.execute_batch("PRAGMA query_only = ON; BEGIN")?;
    let meta = Meta::read(connection)?;
    let report = CheckReport { state: meta.state(), batches: 0, entries: 0, problems: Vec::new() };
    let mut check = Check { meta, report, last: HashMap::new() };
    check.read_pages(connection)?;
    check.read_log(connection)?;
    check.read_entries(connection)?;
    Ok(check.report)
}

struct Check {
    meta: Meta,
    report: CheckReport,
    /// What the log says that its keys are at its end: the revision of the entry, or none.
    last: HashMap<Key, Option<Revision>>,
}

impl Check {
    fn problem(&mut self, problem: String) {
        if self.report.problems.len() < PROBLEMS {
            self.report.problems.push(problem);
        }
    }

    fn read_pages(&mut self, connection: &Connection) -> Result<(), SqliteError> {
        let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let line: String = row.get(0)?;
            if line != "ok" {
                self.problem(format!("pages: {line}"));
            }
        }
        Ok(())
    }

    fn read_log(&mut self, connection: &Connection) -> Result<(), SqliteError> {
        let (mut at, mut txn) = (self.meta.floor, self.meta.floor_txn);
        loop {
            let batches = match log::after(connection, at, STEP, STEP_BYTES) {
                Ok(batches) => batches,
                Err(SqliteError::Corrupt(why)) => {
                    self.problem(why);
                    return Ok(());
                }
                Err(other) => return Err(other),
            };
            let Some(last) = batches.last() else { break };
            let end = (last.revision, last.txn);
            for batch in &batches {
                self.read_batch(batch, at, txn);
                (at, txn) = (batch.revision, batch.txn);
            }
            (at, txn) = end;
        }
        if (at, txn) != (self.meta.head, self.meta.head_txn) {
            self.problem(format!("the log ends at {at}, expected the head {}", self.meta.head));
        }
        Ok(())
    }

    fn read_batch(&mut self, batch: &Batch, before: Revision, txn: TxnId) {
        self.report.batches += 1;
        if batch.revision.get() != before.get() + 1 {
            self.problem(format!("log: {} comes after {before}", batch.revision));
        }
        if batch.previous_txn != txn {
            self.problem(format!("log: {} names another predecessor than {before}", batch.revision));
        }
        for change in batch.changes.iter() {
            if change.current().is_some_and(|entry| entry.revision != batch.revision) {
                self.problem(format!("log: {} writes {} at another revision", batch.revision, change.key()));
            }
            self.last.insert(change.key().clone(), change.current().map(|entry| entry.revision));
        }
    }

    fn read_entries(&mut self, connection: &Connection) -> Result<(), SqliteError> {
        let (everything, mut rest) = (KeyPrefix::everything(), Stretch::default());
        loop {
            let entries = match objects::range(connection, &everything, &rest, STEP) {
                Ok(rows) => rows.entries,
                Err(SqliteError::Corrupt(why)) => {
                    self.problem(why);
                    return Ok(());
                }
                Err(other) => return Err(other),
            };
            for entry in &entries {
                self.read_entry(&entry.key, entry.revision);
            }
            let Some(last) = entries.last() else { break };
            rest.after = Some(last.key.clone());
        }
        let missing: Vec<_> = self.last.iter().filter_map(|(key, at)| at.map(|at| (key.clone(), at))).collect();
        missing.into_iter().for_each(|(key, at)| self.problem(format!("{key} is missing, the log has it at {at}")));
        Ok(())
    }

    fn read_entry(&mut self, key: &Key, at: Revision) {
        self.report.entries += 1;
        match self.last.remove(key) {
            Some(logged) if logged != Some(at) => {
                self.problem(format!("{key} is at {at}, the log leaves it at {logged:?}"));
            }
            None if at > self.meta.floor => self.problem(format!("{key} is at {at}, which the log does not have")),
            _ => {}
        }
    }
}
