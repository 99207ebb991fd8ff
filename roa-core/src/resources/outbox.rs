//! [`Effect`]: something to be done outside of the store, asked for in the same commit as what depends on it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::ResourceStore;
use super::unit::Written;
use crate::{
    CommitError, Entry, Error, Expect, Fence, Key, KeyPrefix, Op, Result, Revision, SYSTEM_GROUP, Timestamp, Txn,
    TxnId, Value, Violations,
};

/// The resource of the keys that effects are kept under.
const RESOURCE: &str = "outbox";

/// Something to be done outside of the store: what was asked for, and what came of it. It is done at least once, and
/// whoever does it recognises it by its id.
///
/// ```
/// # use roa_core::{EffectState, ResourceStore, Result};
/// /// Asks for a mail, once, however often this is called.
/// async fn welcome(resources: &ResourceStore, uid: &str) -> Result<bool> {
///     let state = resources.effect("mail", uid, &serde_json::json!({ "to": "a@example.com" })).await?;
///     Ok(matches!(state, EffectState::Done(_)))
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Effect {
    /// Who is to do it.
    pub handler: String,
    /// Which it is: the same id is the same effect, however often it is asked for.
    pub id: String,
    /// What is asked for.
    pub request: Json,
    /// What came of it so far.
    pub state: EffectState,
    /// When its state last changed.
    pub at: Timestamp,
    key: Key,
    revision: Revision,
}

/// What came of an [`Effect`].
///
/// ```
/// use roa_core::EffectState;
/// let failed = EffectState::Failed { reason: "NoSuchAddress".into(), message: "nobody is called that".into() };
/// assert_ne!(failed, EffectState::Pending);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EffectState {
    /// It is not done yet, or nobody knows that it is.
    Pending,
    /// It is done, with this answer.
    Done(Json),
    /// It can't be done.
    Failed {
        /// A word.
        reason: String,
        /// A sentence.
        message: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Record {
    handler: String,
    id: String,
    request: Json,
    state: EffectState,
    at: Timestamp,
}

impl Effect {
    /// The prefix of all effects, for those who do them.
    ///
    /// # Errors
    /// None in practice: the prefix is fixed.
    pub fn prefix() -> Result<KeyPrefix> {
        Ok(KeyPrefix::resource(SYSTEM_GROUP, RESOURCE)?)
    }

    /// The effect in an entry.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if there is none in it.
    pub fn decode(entry: &Entry) -> Result<Self> {
        let Record { handler, id, request, state, at } = serde_json::from_slice(&entry.value.bytes)
            .map_err(|error| Error::corrupt(format!("effect {}: {error}", entry.key.name())))?;
        Ok(Self { handler, id, request, state, at, key: entry.key.clone(), revision: entry.revision })
    }

    /// The key that it is kept under.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    fn encode(&self) -> Result<Value> {
        let Self { handler, id, request, state, at, .. } = self.clone();
        let bytes = serde_json::to_vec(&Record { handler, id, request, state, at });
        Ok(Value::opaque(bytes.map_err(|error| Error::corrupt(error.to_string()))?))
    }
}

impl ResourceStore {
    /// Asks `handler` for something outside of the store, and gives what came of it so far. Asking again with the same id
    /// is the same effect: so a reconcile may ask each time that it runs. In a unit of work the effect is asked for by the
    /// unit's commit, or not at all.
    ///
    /// ```
    /// # use roa_core::{Action, Context, EffectState, Object, ReconcileError, Spec};
    /// # use serde_json::json;
    /// # async fn reconcile<S: Spec>(lab: &Object<S>, cx: &Context) -> Result<Action, ReconcileError> {
    /// let id = format!("{}.{}", lab.metadata.uid, lab.metadata.generation);
    /// match cx.resources().effect("mail", &id, &json!({"to": "ann@example.com"})).await? {
    ///     EffectState::Pending => return Ok(Action::RequeueAfter(std::time::Duration::from_secs(5))),
    ///     EffectState::Done(_answer) => {}
    ///     EffectState::Failed { .. } => {}
    /// }
    /// # Ok(Action::Done)
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if the same id was asked for with another request, or makes no key, and as
    /// [`ResourceStore::create`].
    ///
    /// # Cancel safety
    /// Dropping it leaves the effect asked for or not.
    pub async fn effect(&self, handler: &str, id: &str, request: &Json) -> Result<EffectState> {
        let key = Key::system(RESOURCE, &format!("{handler}/{id}"))?;
        let (entry, revision) = self.entry(&key).await?;
        if let Some(entry) = entry {
            let known = Effect::decode(&entry)?;
            if known.request != *request {
                let message = format!("{id:?} was asked for with another request: an id stands for one effect");
                return Err(Error::invalid(format!("effect {handler}"), Violations::one("id", message)));
            }
            return Ok(known.state);
        }
        let (handler, id, request) = (handler.to_owned(), id.to_owned(), request.clone());
        let state = EffectState::Pending;
        let effect = Effect { handler, id, request, state, at: self.clock.now(), key: key.clone(), revision };
        let value = effect.encode()?;
        match &self.unit {
            Some(unit) => unit.hold_back(&key, Written::Value(value))?,
            None => self.write_record(Op::Put { key, value, expect: Expect::Absent }).await?,
        }
        Ok(EffectState::Pending)
    }

    /// Notes what came of an effect.
    ///
    /// # Errors
    /// [`Error::Conflict`] if somebody else noted something since it was read, and as [`ResourceStore::create`].
    ///
    /// # Cancel safety
    /// Dropping it leaves it noted or not.
    pub async fn settle_effect(&self, effect: &Effect, state: EffectState) -> Result<()> {
        let settled = Effect { state, at: self.clock.now(), ..effect.clone() };
        let (key, value) = (effect.key.clone(), settled.encode()?);
        self.write_record(Op::Put { key, value, expect: Expect::At(effect.revision) }).await
    }

    /// Forgets an effect: if it is asked for again, it is done again.
    ///
    /// # Errors
    /// As [`ResourceStore::settle_effect`].
    pub async fn forget_effect(&self, effect: &Effect) -> Result<()> {
        self.write_record(Op::Delete { key: effect.key.clone(), expect: effect.revision }).await
    }

    /// Writes one of the store's own records, such as a bookmark, under the same fences as objects. No kind's watch sees it,
    /// and a unit of work does not hold it back.
    ///
    /// ```
    /// # use roa_core::{Expect, Key, Op, ResourceStore, Result, Value};
    /// async fn mark(resources: &ResourceStore) -> Result<()> {
    ///     let (key, value) = (Key::system("bookmarks", "mailer")?, Value::opaque("17"));
    ///     resources.write_record(Op::Put { key, value, expect: Expect::Absent }).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key that is not under the reserved prefix; [`Error::Conflict`] if it is not as expected;
    /// [`Error::Fenced`], [`Error::Ambiguous`], [`Error::Unavailable`].
    ///
    /// # Cancel safety
    /// Dropping it leaves it written or not.
    pub async fn write_record(&self, op: Op) -> Result<()> {
        if op.key().group() != SYSTEM_GROUP {
            let violations =
                Violations::one("key", "must be under the reserved prefix: objects have rules of their own");
            return Err(Error::invalid(op.key().to_string(), violations));
        }
        let (key, expect) = (op.key().clone(), op.expect());
        let txn = self.fence(Txn::new(TxnId::random(&*self.random), Arc::clone(&self.writer)).op(op));
        self.check_tenure()?;
        match self.store.commit(txn).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict { key, current }) => Err(super::unit::changed(&key, expect, current)),
            Err(CommitError::GuardFailed { key, .. }) => Err(Error::Fenced(Fence::Ownership { key })),
            Err(CommitError::Fenced { current }) => Err(Error::Fenced(Fence::Epoch { current })),
            Err(CommitError::Ambiguous { txn, reason }) => Err(Error::Ambiguous { txn, reason }),
            Err(CommitError::Invalid(error)) => Err(error.into()),
            Err(error) => Err(Error::unavailable(format!("{key}: {error}"))),
        }
    }
}
