//! Commits: one script each, over the connection that all share, any number under way at a time.

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, Value};
use roa_core::{CommitError, Epoch, Expect, Op, Revision, RevisionError, Txn};

use crate::codec::encode_entry;
use crate::error::RedisStoreError;
use crate::lineage;
use crate::link::{Line, Link};
use crate::meta::{bytes, elements, epoch_of, epoch_text, revision, text};
use crate::scripts::{Script, all};
use crate::shared::{Mark, Shared};

/// How often a commit that was certainly not done is sent again: to another server, or in another epoch.
const ATTEMPTS: usize = 4;

/// How many of the newest transactions the script finds without the log.
const SLOTS: u64 = 1_024;

/// Does all writes of a transaction, or none.
pub(crate) async fn commit(shared: &Shared, txn: Txn) -> Result<Revision, CommitError> {
    txn.validate()?;
    let mut attempt = 1;
    loop {
        match try_commit(shared, &txn).await? {
            Step::Committed(revision) => return Ok(revision),
            Step::Again(reason) if attempt >= ATTEMPTS => {
                return Err(CommitError::Unavailable { reason: reason.into() });
            }
            Step::Again(_) => attempt += 1,
        }
    }
}

enum Step {
    Committed(Revision),
    /// It was certainly not done, and may be the next time.
    Again(String),
}

async fn try_commit(shared: &Shared, txn: &Txn) -> Result<Step, CommitError> {
    let mark = shared.mark();
    if txn.epoch.is_some_and(|expected| expected.counter < mark.epoch.counter) {
        // A server that does not know of the break must not be asked.
        return Err(CommitError::Fenced { current: mark.epoch });
    }
    let link = shared.commit_link();
    let mut line = link.line().await.map_err(|error| error.refused())?;
    let epoch = txn.epoch.unwrap_or(mark.epoch);
    let answer = send(shared, &mut line, txn, epoch, mark).await;
    match answer {
        Ok(answer) => match Reply::parse(answer).map_err(|error| error.after_sending(txn.id))? {
            Reply::Committed(at) => {
                shared.advance(Mark { epoch, revision: at, txn: txn.id });
                Ok(Step::Committed(at))
            }
            Reply::Refused(refused) => Err(refused.of(txn)),
            Reply::Epoch(current) if txn.epoch.is_some() => Err(CommitError::Fenced { current }),
            Reply::Epoch(_) | Reply::Broken => repair(shared, link, &mut line).await,
        },
        Err(RedisStoreError::Broken(_)) => repair(shared, link, &mut line).await,
        Err(error) => {
            link.note(&line, &error);
            if error.is_elsewhere() { Ok(Step::Again(error.to_string())) } else { Err(error.after_sending(txn.id)) }
        }
    }
}

/// Sees to it that a broken history is fenced, or learns of the fence.
async fn repair(shared: &Shared, link: &Link, line: &mut Line) -> Result<Step, CommitError> {
    match lineage::settle(shared, &mut line.connection).await {
        Ok(meta) => Ok(Step::Again(format!("the history of the store was broken: it is in epoch {} now", meta.epoch))),
        Err(error) => {
            link.note(line, &error);
            Err(error.refused())
        }
    }
}

async fn send(shared: &Shared, line: &mut Line, txn: &Txn, epoch: Epoch, mark: Mark) -> Result<Value, RedisStoreError> {
    // A mark of another epoch says nothing about this one.
    let mark = if mark.epoch == epoch { Some(mark) } else { None };
    let strict = shared.strict_replid();
    let committed_at = shared.clock.now().as_unix_millis().to_be_bytes();
    let fill = |call: &mut Cmd| {
        call.arg(epoch_text(epoch));
        match mark {
            Some(Mark { revision, txn, .. }) => {
                call.arg(revision.get()).arg(txn.0.as_bytes()).arg(format!("t{}", revision.get() % SLOTS))
            }
            None => call.arg(0).arg("").arg("t0"),
        };
        call.arg(txn.id.0.as_bytes()).arg(&committed_at[..]).arg(strict.as_deref().unwrap_or_default());
        fill_txn(call, txn);
    };
    let keys = all(&shared.keys);
    let mut call = shared.scripts.commit.by_name(&keys);
    fill(&mut call);
    match exchange(shared, line, call).await {
        Err(error) if error.is_unknown_script() => {
            exchange(shared, line, by_text(&shared.scripts.commit, &keys, fill)).await
        }
        answer => answer,
    }
}

fn by_text(script: &Script, keys: &[&str], fill: impl Fn(&mut Cmd)) -> Cmd {
    let mut call = script.by_text(keys);
    fill(&mut call);
    call
}

fn fill_txn(call: &mut Cmd, txn: &Txn) {
    call.arg(txn.guards.len());
    for guard in &txn.guards {
        call.arg(guard.key.encoded());
        fill_expect(call, guard.expect);
    }
    for op in &txn.ops {
        call.arg(if matches!(op, Op::Put { .. }) { "P" } else { "D" }).arg(op.key().encoded());
        fill_expect(call, op.expect());
        if let Op::Put { value, .. } = op {
            call.arg(encode_entry(txn.id, &txn.writer, value));
        }
    }
}

fn fill_expect(call: &mut Cmd, expect: Expect) {
    match expect {
        Expect::Absent => call.arg(""),
        Expect::At(revision) => call.arg(&revision.get().to_be_bytes()[..]),
    };
}

/// Sends a commit, and waits for the replicas that must have it.
async fn exchange(shared: &Shared, line: &mut Line, call: Cmd) -> Result<Value, RedisStoreError> {
    let wanted = shared.config.wait_replicas;
    if wanted == 0 {
        return crate::shared::send(&mut line.connection, &call).await;
    }
    let mut both = Pipeline::new();
    let mut wait = redis::cmd("WAIT");
    let limit = u64::try_from(shared.config.wait_timeout.as_millis()).unwrap_or(u64::MAX).max(1);
    wait.arg(wanted).arg(limit);
    both.add_command(call).add_command(wait);
    let mut answers = line.connection.req_packed_commands(&both, 0, 2).await?.into_iter();
    let (answer, waited) = (answers.next().unwrap_or(Value::Nil), answers.next().unwrap_or(Value::Nil));
    let answer = answer.extract_error()?;
    if !matches!(answer, Value::BulkString(_)) {
        // What was refused needs no replicas.
        return Ok(answer);
    }
    // From here on it is done: whatever is said of the replicas is no refusal.
    match waited.extract_error() {
        Ok(Value::Int(copies)) if u32::try_from(copies).is_ok_and(|copies| copies >= wanted) => Ok(answer),
        Ok(Value::Int(copies)) => Err(RedisStoreError::Failed(format!("{copies} of {wanted} replicas had it in time"))),
        Ok(other) => Err(RedisStoreError::Failed(format!("WAIT was answered with {other:?}"))),
        Err(error) => Err(RedisStoreError::Failed(format!("it is not known which replicas have it: {error}"))),
    }
}

/// What the script answers.
enum Reply {
    Committed(Revision),
    Refused(Refusal),
    Epoch(Epoch),
    /// There is no store, or another history.
    Broken,
}

enum Refusal {
    Conflict(usize, Option<Revision>),
    Guard(usize, Option<Revision>),
    Exhausted,
}

impl Refusal {
    fn of(self, txn: &Txn) -> CommitError {
        match self {
            Self::Conflict(write, current) => match txn.ops.get(write) {
                Some(op) => CommitError::Conflict { key: op.key().clone(), current },
                None => unknown(),
            },
            Self::Guard(guard, current) => match txn.guards.get(guard) {
                Some(guard) => CommitError::GuardFailed { key: guard.key.clone(), current },
                None => unknown(),
            },
            Self::Exhausted => CommitError::Exhausted(RevisionError::Exhausted),
        }
    }
}

fn unknown() -> CommitError {
    CommitError::Unavailable { reason: "redis refused a write that the transaction does not have".into() }
}

impl Reply {
    fn parse(answer: Value) -> Result<Self, RedisStoreError> {
        let answer = match answer {
            Value::Array(parts) => parts,
            committed => return Ok(Self::Committed(revision(&text(committed)?)?)),
        };
        let mut parts = elements(Value::Array(answer))?.into_iter();
        let word = text(parts.next().unwrap_or(Value::Nil))?;
        match (word.as_str(), parts.next(), parts.next()) {
            ("conflict", Some(Value::Int(write)), Some(at)) => {
                Ok(Self::Refused(Refusal::Conflict(index(write), current(at)?)))
            }
            ("guard", Some(Value::Int(guard)), Some(at)) => {
                Ok(Self::Refused(Refusal::Guard(index(guard), current(at)?)))
            }
            ("exhausted", ..) => Ok(Self::Refused(Refusal::Exhausted)),
            ("epoch", Some(epoch), _) => Ok(Self::Epoch(epoch_of(&text(epoch)?)?)),
            ("gone" | "broken", ..) => Ok(Self::Broken),
            _ => Err(RedisStoreError::Protocol(format!("a commit was answered with {word:?}"))),
        }
    }
}

/// Scripts count from one.
fn index(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0).wrapping_sub(1)
}

/// The revision of an entry; none if it is absent.
fn current(value: Value) -> Result<Option<Revision>, RedisStoreError> {
    let bytes = bytes(value)?;
    let Ok(bytes) = <[u8; 8]>::try_from(bytes.as_slice()) else { return Ok(None) };
    let found = Revision::new(u64::from_be_bytes(bytes));
    found.map(Some).map_err(|why| RedisStoreError::corrupt("revision", &why))
}
