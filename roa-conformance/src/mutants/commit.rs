//! What a store can do wrong when it commits.

use std::sync::Arc;

use roa_core::{
    CommitError, Entry, Error, Expect, Key, Op, Revision, Store, SystemRandom, Txn, TxnError, TxnId, Value,
};

use super::Mutant;

/// What a store can do wrong when it commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitMutation {
    /// It acknowledges what it does not write.
    LosesCreates,
    /// It creates over what is there.
    CreatesOverTheExisting,
    /// It updates the revision and keeps the value.
    KeepsOldValues,
    /// Its conflicts do not say what is there.
    ConflictsNameNoRevision,
    /// It creates what was to be updated.
    UpdatesCreate,
    /// It writes what was to be deleted.
    DeletesWrite,
    /// It deletes whatever is there.
    DeletesIgnoreTheRevision,
    /// A refused commit uses up a revision.
    ConflictsMoveTheHead,
    /// Some commits use up two revisions.
    SkipsRevisions,
    /// It compares first and writes later.
    ChecksThenWrites,
    /// It acknowledges the loser of a race.
    AcknowledgesLosers,
    /// It does the writes of a transaction one after the other.
    SplitsTransactions,
    /// It takes its time between the writes of a transaction.
    PausesBetweenWrites,
    /// No guard ever holds.
    GuardsNeverHold,
    /// Each guard holds.
    GuardsAlwaysHold,
    /// Of two writes of one key it does the last.
    LastWriteOfAKeyWins,
    /// It does not write what is there already.
    HidesIdenticalWrites,
    /// It does as much of a transaction as fits.
    TruncatesLargeTransactions,
    /// It takes values for text.
    TakesValuesForText,
    /// After the last revision it uses the last one again.
    UsesTheLastRevisionAgain,
    /// A lost reply is a failure.
    LostRepliesAreFailures,
    /// It does not look at the epoch.
    IgnoresTheEpoch,
}

/// Between how many other steps of tasks a slow mutant pauses.
const PAUSE: usize = 16;

/// Commits, save for one mistake.
pub(super) async fn commit(mutant: &Mutant, mutation: CommitMutation, txn: Txn) -> Result<Revision, CommitError> {
    use CommitMutation as M;
    let store = &*mutant.inner;
    match mutation {
        M::LosesCreates if txn.ops.iter().all(|op| op.expect() == Expect::Absent) => next(store).await,
        M::ChecksThenWrites => check_then_write(store, txn).await,
        M::SplitsTransactions => split(store, txn, 0).await,
        M::PausesBetweenWrites => split(store, txn, PAUSE).await,
        M::SkipsRevisions if mutant.notes.count().is_multiple_of(7) => {
            fill(store).await?;
            store.commit(txn).await
        }
        M::HidesIdenticalWrites if is_written(store, &txn).await? => head(store).await,
        M::GuardsNeverHold if !txn.guards.is_empty() => {
            Err(CommitError::GuardFailed { key: txn.guards[0].key.clone(), current: None })
        }
        _ => {
            let txn = prepare(store, mutation, txn).await?;
            answer(store, mutation, store.commit(txn).await).await
        }
    }
}

/// What is committed instead.
async fn prepare(store: &dyn Store, mutation: CommitMutation, mut txn: Txn) -> Result<Txn, CommitError> {
    use CommitMutation as M;
    match mutation {
        M::GuardsAlwaysHold => txn.guards.clear(),
        M::IgnoresTheEpoch => txn.epoch = None,
        M::TruncatesLargeTransactions => txn.ops.truncate(Txn::MAX_OPS),
        M::LastWriteOfAKeyWins if matches!(txn.validate(), Err(TxnError::DuplicateKey(_))) => {
            let last = txn.ops.pop();
            txn.ops.retain(|op| last.as_ref().is_some_and(|last| last.key() != op.key()));
            txn.ops.extend(last);
        }
        _ => {
            for op in &mut txn.ops {
                let current = current(store, op.key()).await?;
                *op = change(mutation, op.clone(), current.as_deref());
            }
        }
    }
    Ok(txn)
}

/// What is written instead, given what is there.
fn change(mutation: CommitMutation, op: Op, current: Option<&Entry>) -> Op {
    use CommitMutation as M;
    match (mutation, op, current) {
        (M::CreatesOverTheExisting, Op::Put { key, value, expect: Expect::Absent }, Some(current)) => {
            Op::Put { key, value, expect: Expect::At(current.revision) }
        }
        (M::KeepsOldValues, Op::Put { key, expect, .. }, Some(current)) => {
            Op::Put { key, value: current.value.clone(), expect }
        }
        (M::UpdatesCreate, Op::Put { key, value, .. }, None) => Op::Put { key, value, expect: Expect::Absent },
        (M::DeletesWrite, Op::Delete { key, expect }, Some(current)) => {
            Op::Put { key, value: current.value.clone(), expect: Expect::At(expect) }
        }
        (M::DeletesIgnoreTheRevision, Op::Delete { key, .. }, Some(current)) => {
            Op::Delete { key, expect: current.revision }
        }
        (M::TakesValuesForText, Op::Put { key, value, expect }, _) => {
            let text = String::from_utf8_lossy(&value.bytes).into_owned();
            Op::Put { key, value: Value { bytes: text.into(), ..value }, expect }
        }
        (_, op, _) => op,
    }
}

/// What is answered instead.
async fn answer(
    store: &dyn Store,
    mutation: CommitMutation,
    answer: Result<Revision, CommitError>,
) -> Result<Revision, CommitError> {
    use CommitMutation as M;
    match (mutation, answer) {
        (M::ConflictsNameNoRevision, Err(CommitError::Conflict { key, .. })) => {
            Err(CommitError::Conflict { key, current: None })
        }
        (M::ConflictsMoveTheHead, Err(conflict @ CommitError::Conflict { .. })) => {
            fill(store).await?;
            Err(conflict)
        }
        (M::AcknowledgesLosers, Err(CommitError::Conflict { .. }))
        | (M::UsesTheLastRevisionAgain, Err(CommitError::Exhausted(_))) => head(store).await,
        (M::LostRepliesAreFailures, Err(CommitError::Ambiguous { reason, .. })) => {
            Err(CommitError::Unavailable { reason })
        }
        (_, answer) => answer,
    }
}

async fn check_then_write(store: &dyn Store, mut txn: Txn) -> Result<Revision, CommitError> {
    for op in &txn.ops {
        let current = current(store, op.key()).await?.map(|entry| entry.revision);
        if !op.expect().holds(current) {
            return Err(CommitError::Conflict { key: op.key().clone(), current });
        }
    }
    pause(PAUSE).await;
    loop {
        for op in &mut txn.ops {
            let expect = current(store, op.key()).await?.map_or(Expect::Absent, |entry| Expect::At(entry.revision));
            if let Op::Put { expect: expected, .. } = op {
                *expected = expect;
            }
        }
        match store.commit(txn.clone()).await {
            Err(CommitError::Conflict { .. }) => {}
            answer => return answer,
        }
    }
}

async fn split(store: &dyn Store, txn: Txn, steps: usize) -> Result<Revision, CommitError> {
    txn.validate()?;
    let mut last = Err(CommitError::Invalid(TxnError::Empty));
    for op in txn.ops {
        let mut part = Txn::new(TxnId::random(&SystemRandom), Arc::clone(&txn.writer)).op(op);
        part.guards.clone_from(&txn.guards);
        part.epoch = txn.epoch;
        last = Ok(store.commit(part).await?);
        pause(steps).await;
    }
    last
}

async fn pause(steps: usize) {
    for _ in 0..steps {
        tokio::task::yield_now().await;
    }
}

async fn is_written(store: &dyn Store, txn: &Txn) -> Result<bool, CommitError> {
    for op in &txn.ops {
        let Op::Put { key, value, .. } = op else { return Ok(false) };
        if current(store, key).await?.is_none_or(|entry| entry.value != *value) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Uses up a revision.
pub(super) async fn fill(store: &dyn Store) -> Result<Revision, CommitError> {
    let key = Key::system("mutants", "filler").map_err(|error| unavailable(&error.into()))?;
    let txn = Txn::new(TxnId::random(&SystemRandom), "mutant");
    let txn = match current(store, &key).await? {
        Some(entry) => txn.update(key, Value::opaque("filler"), entry.revision),
        None => txn.create(key, Value::opaque("filler")),
    };
    store.commit(txn).await
}

async fn current(store: &dyn Store, key: &Key) -> Result<Option<Arc<Entry>>, CommitError> {
    store.get(key).await.map(|read| read.entry).map_err(|error| unavailable(&error))
}

async fn head(store: &dyn Store) -> Result<Revision, CommitError> {
    store.state().await.map(|state| state.head).map_err(|error| unavailable(&error))
}

async fn next(store: &dyn Store) -> Result<Revision, CommitError> {
    Ok(head(store).await?.next()?)
}

fn unavailable(error: &Error) -> CommitError {
    CommitError::Unavailable { reason: error.to_string().into() }
}
