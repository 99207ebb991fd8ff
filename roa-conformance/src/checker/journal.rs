//! [`Journal`]: the commits of a recording as lines of JSON, written while they happen, so that a history outlives the
//! process that made it.
//!
//! A commit's line is written before the store is asked, its answer's before the caller has it. Whatever moment the
//! process ends at, the lines up to there are a history: what has no answer may have happened or not. Reads are left
//! out, which takes nothing from what is said of commits.

use std::fmt;
use std::io::{self, Write};

use bytes::Bytes;
use roa_core::{
    CommitError, Epoch, Expect, Format, Guard, Key, KeyError, Linearizable, Op, Revision, Txn, TxnId, Value,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{ClientId, History, Operation, Step, Tick};

/// Where lines go: a file, or a pipe that somebody reads. Each line is written by one call and flushed.
pub struct Journal(Box<dyn Write + Send>);

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

/// A journal that can't be read.
#[derive(Debug, Error)]
#[error("read line {line} of the journal: {reason}")]
pub struct JournalError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Call { operation: usize, client: u32, tick: u64, txn: TxnLine },
    Answer { operation: usize, tick: u64, answer: AnswerLine },
}

#[derive(Debug, Serialize, Deserialize)]
struct TxnLine {
    id: TxnId,
    writer: String,
    epoch: Option<Epoch>,
    guards: Vec<(String, Option<Revision>)>,
    ops: Vec<OpLine>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OpLine {
    key: String,
    /// The format's byte and the bytes; none: a delete.
    value: Option<(u8, Vec<u8>)>,
    expect: Option<Revision>,
}

#[derive(Debug, Serialize, Deserialize)]
enum AnswerLine {
    Done(Revision),
    Conflict(String, Option<Revision>),
    GuardFailed(String, Option<Revision>),
    Fenced(Epoch),
    Ambiguous(String),
    /// Invalid, exhausted or unavailable: certainly not done.
    NotDone(String),
}

impl Journal {
    /// A journal that is written to `lines`.
    #[must_use]
    pub fn new(lines: impl Write + Send + 'static) -> Self {
        Self(Box::new(lines))
    }

    pub(super) fn called(&mut self, operation: usize, done: &Operation) -> io::Result<()> {
        let Step::Commit { txn, .. } = &done.step else { return Ok(()) };
        let (client, tick, txn) = (done.client.0, done.called.0, TxnLine::of(txn));
        self.write(&Line::Call { operation, client, tick, txn })
    }

    pub(super) fn answered(&mut self, operation: usize, done: &Operation) -> io::Result<()> {
        let (Step::Commit { result, .. }, Some(Tick(tick))) = (&done.step, done.returned) else { return Ok(()) };
        self.write(&Line::Answer { operation, tick, answer: AnswerLine::of(result) })
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.0.write_all(&text)?;
        self.0.flush()
    }
}

impl History {
    /// Reads the commits that a [`Journal`] has written down. A last line without its end is left out: the process
    /// ended while it wrote it.
    ///
    /// # Errors
    /// [`JournalError`] for a line that no journal writes.
    pub fn from_journal(text: &str, linearizable: Linearizable) -> Result<Self, JournalError> {
        let mut places = std::collections::HashMap::new();
        let mut operations: Vec<Operation> = Vec::new();
        for (number, line) in text.split_inclusive('\n').enumerate().filter(|(_, line)| line.ends_with('\n')) {
            let failed = |reason: String| JournalError { line: number + 1, reason };
            match serde_json::from_str(line).map_err(|error| failed(error.to_string()))? {
                Line::Call { operation, client, tick, txn } => {
                    places.insert(operation, operations.len());
                    let step = Step::unanswered_commit(txn.txn().map_err(|error| failed(error.to_string()))?.into());
                    operations.push(Operation { client: ClientId(client), called: Tick(tick), returned: None, step });
                }
                Line::Answer { operation, tick, answer } => {
                    let place = places.get(&operation).ok_or_else(|| failed("answers no call".to_owned()))?;
                    let answered = answer.answer(&mut operations[*place], Tick(tick));
                    answered.map_err(|error| failed(error.to_string()))?;
                }
            }
        }
        Ok(Self { linearizable, ..Self::new(operations) })
    }
}

impl TxnLine {
    fn of(txn: &Txn) -> Self {
        let guards = txn.guards.iter().map(|guard| (text(&guard.key), revision_of(guard.expect))).collect();
        let (writer, ops) = (txn.writer.to_string(), txn.ops.iter().map(OpLine::of).collect());
        Self { id: txn.id, writer, epoch: txn.epoch, guards, ops }
    }

    fn txn(self) -> Result<Txn, KeyError> {
        let mut txn = Txn::new(self.id, self.writer);
        txn.epoch = self.epoch;
        for (key, revision) in self.guards {
            txn.guards.push(Guard { key: Key::decode(&key)?, expect: expectation(revision) });
        }
        for op in self.ops {
            txn.ops.push(op.op()?);
        }
        Ok(txn)
    }
}

impl OpLine {
    fn of(op: &Op) -> Self {
        let value = match op {
            Op::Put { value, .. } => Some((value.format.to_byte(), value.bytes.to_vec())),
            Op::Delete { .. } => None,
        };
        Self { key: text(op.key()), value, expect: revision_of(op.expect()) }
    }

    fn op(self) -> Result<Op, KeyError> {
        let key = Key::decode(&self.key)?;
        match (self.value, self.expect) {
            (Some((format, bytes)), expect) => {
                let unknown = KeyError::Malformed { reason: "a value of an unknown format" };
                let format = Format::from_byte(format).ok_or(unknown)?;
                Ok(Op::Put { key, value: Value { format, bytes: Bytes::from(bytes) }, expect: expectation(expect) })
            }
            (None, Some(expect)) => Ok(Op::Delete { key, expect }),
            (None, None) => Err(KeyError::Malformed { reason: "a delete without an expected revision" }),
        }
    }
}

impl AnswerLine {
    fn of(result: &Result<Revision, CommitError>) -> Self {
        match result {
            Ok(revision) => Self::Done(*revision),
            Err(CommitError::Conflict { key, current }) => Self::Conflict(text(key), *current),
            Err(CommitError::GuardFailed { key, current }) => Self::GuardFailed(text(key), *current),
            Err(CommitError::Fenced { current }) => Self::Fenced(*current),
            Err(CommitError::Ambiguous { reason, .. }) => Self::Ambiguous(reason.to_string()),
            Err(error) => Self::NotDone(error.to_string()),
        }
    }

    fn answer(self, done: &mut Operation, tick: Tick) -> Result<(), KeyError> {
        let Step::Commit { txn, result } = &mut done.step else { return Ok(()) };
        *result = match self {
            Self::Done(revision) => Ok(revision),
            Self::Conflict(key, current) => Err(CommitError::Conflict { key: Key::decode(&key)?, current }),
            Self::GuardFailed(key, current) => Err(CommitError::GuardFailed { key: Key::decode(&key)?, current }),
            Self::Fenced(current) => Err(CommitError::Fenced { current }),
            Self::Ambiguous(reason) => Err(CommitError::Ambiguous { txn: txn.id, reason: reason.into() }),
            Self::NotDone(reason) => Err(CommitError::Unavailable { reason: reason.into() }),
        };
        done.returned = Some(tick);
        Ok(())
    }
}

fn text(key: &Key) -> String {
    key.encoded().to_owned()
}

const fn revision_of(expect: Expect) -> Option<Revision> {
    match expect {
        Expect::Absent => None,
        Expect::At(revision) => Some(revision),
    }
}

fn expectation(revision: Option<Revision>) -> Expect {
    revision.map_or(Expect::Absent, Expect::At)
}
