//! [`Transaction`]: several objects in one commit, each by the lifecycle rules.

use std::collections::HashSet;
use std::sync::Arc;

use super::ResourceStore;
use super::unit::{UnitOfWork, Written};
use crate::lifecycle::{self, DeleteOptions, FieldValidation, Step};
use crate::{
    CommitError, DynamicObject, Entry, Error, Expect, Expected, Fence, Key, KindDescriptor, MAX_CONFLICTS, RandomExt,
    Result, Revision, StoredObject, Txn, TxnId, Violations,
};

/// Writes to several objects, staged one by one and committed together. At most one object of each kind: two in one
/// revision could not be told apart by a client that resumes between them.
///
/// Each staging gives the object's place in what [`Transaction::commit`] returns.
///
/// ```
/// # use roa_core::{DynamicObject, ResourceStore, Result, lifecycle::FieldValidation};
/// /// Both or none.
/// async fn create_both(resources: &ResourceStore, lab: DynamicObject, disk: DynamicObject) -> Result<Vec<DynamicObject>> {
///     let mut transaction = resources.transaction();
///     transaction.create(lab, FieldValidation::Strict)?;
///     transaction.create(disk, FieldValidation::Strict)?;
///     transaction.commit().await
/// }
/// ```
#[derive(Debug)]
pub struct Transaction<'a> {
    resources: &'a ResourceStore,
    staged: Vec<Staged>,
}

#[derive(Debug)]
struct Staged {
    key: Key,
    /// The revision that was read; `None` if the object is to be created.
    expect: Option<Revision>,
    /// What was read, or is to be created.
    object: DynamicObject,
    step: Step,
}

impl<'a> Transaction<'a> {
    pub(super) const fn new(resources: &'a ResourceStore) -> Self {
        Self { resources, staged: Vec::new() }
    }

    /// Stages a new object.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::UnknownKind`].
    pub fn create(&mut self, mut object: DynamicObject, fields: FieldValidation) -> Result<usize> {
        let kind = self.kind_of(&object)?;
        self.generate_name(&mut object);
        let uid = self.resources.random.uuid();
        let now = self.resources.clock.now();
        let object = lifecycle::create(&kind, object, fields, uid, now)?;
        let key = kind.key(&object.metadata.namespace, &object.metadata.name)?;
        let step = Step::Write(Box::new(object.clone()));
        self.stage(Staged { key, expect: None, object, step })
    }

    /// Stages a change of an object, except its status.
    ///
    /// # Errors
    /// As [`ResourceStore::update`].
    pub async fn update(&mut self, object: DynamicObject, fields: FieldValidation) -> Result<usize> {
        let entry = self.read(&object).await?;
        self.update_of(&entry, object, fields)
    }

    /// The same of an object whose entry was just read.
    pub(super) fn update_of(&mut self, entry: &Entry, object: DynamicObject, fields: FieldValidation) -> Result<usize> {
        let kind = self.kind_of(&object)?;
        let current = entry.object().map_err(Clone::clone)?.to_dynamic()?;
        let step = lifecycle::update(&kind, &entry.key, &current, object, fields, self.resources.clock.now())?;
        self.stage(Staged { key: entry.key.clone(), expect: Some(entry.revision), object: current, step })
    }

    /// Stages a change of an object's status.
    ///
    /// # Errors
    /// As [`ResourceStore::update_status`].
    pub async fn update_status(&mut self, object: DynamicObject) -> Result<usize> {
        let entry = self.read(&object).await?;
        self.update_status_of(&entry, &object)
    }

    /// The same of an object whose entry was just read.
    pub(super) fn update_status_of(&mut self, entry: &Entry, object: &DynamicObject) -> Result<usize> {
        let kind = self.kind_of(object)?;
        let current = entry.object().map_err(Clone::clone)?.to_dynamic()?;
        let step = lifecycle::update_status(&kind, &entry.key, &current, object, self.resources.clock.now())?;
        self.stage(Staged { key: entry.key.clone(), expect: Some(entry.revision), object: current, step })
    }

    /// Stages a deletion.
    ///
    /// # Errors
    /// As [`ResourceStore::delete`].
    pub async fn delete(&mut self, key: &Key, options: &DeleteOptions) -> Result<usize> {
        let current = self.resources.get(key).await?;
        let step = lifecycle::delete(key, &current, options, self.resources.clock.now())?;
        let expect = current.metadata.resource_version;
        self.stage(Staged { key: key.clone(), expect, object: current, step })
    }

    /// Stages that a namespace goes that was deleted and is empty.
    pub(super) fn finalize_namespace(&mut self, key: &Key, current: DynamicObject) -> Result<usize> {
        let step = lifecycle::finalize_namespace(&current, self.resources.clock.now());
        let expect = current.metadata.resource_version;
        self.stage(Staged { key: key.clone(), expect, object: current, step })
    }

    /// Stages that an object stays as it is now: what else is staged is written only then. Of these there may be several
    /// of one kind. Gives the object.
    ///
    /// # Errors
    /// As [`ResourceStore::get`].
    pub async fn hold(&mut self, key: &Key) -> Result<DynamicObject> {
        let object = self.resources.get(key).await?;
        let expect = object.metadata.resource_version;
        self.stage(Staged { key: key.clone(), expect, object: object.clone(), step: Step::Unchanged })?;
        Ok(object)
    }

    /// Commits what was staged, in one revision; gives the objects as they are then (as they last were, if removed).
    /// Nothing is written if nothing differs.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::AlreadyExists`], [`Error::NotFound`] if an object is not as it was read,
    /// [`Error::Fenced`] if the writer lost what it owned, [`Error::Ambiguous`], [`Error::Unavailable`].
    ///
    /// # Cancel safety
    /// Dropping it leaves all of it done, or nothing.
    pub async fn commit(self) -> Result<Vec<DynamicObject>> {
        let resources = self.resources;
        if let Some(unit) = &resources.unit {
            return self.hold_back(unit).await;
        }
        if resources.dry_run {
            return self.pretend().await;
        }
        let Some(revision) = self.write().await? else {
            if let Some(mark) = &resources.mark {
                mark.note_unchanged();
            }
            return Ok(self.staged.into_iter().map(|staged| staged.object).collect());
        };
        if let Some(mark) = &resources.mark {
            mark.note(revision);
        }
        Ok(self.staged.into_iter().map(|staged| staged.after(revision)).collect())
    }

    /// Writes what was staged; `None` if nothing differs. What was known of a namespace may be out of date: then it is
    /// looked up, and all is tried again.
    async fn write(&self) -> Result<Option<Revision>> {
        let resources = self.resources;
        for attempt in 1.. {
            let admitted = resources.admit(self.creations()).await?;
            let Some(txn) = self.encode(&admitted)? else { return Ok(None) };
            resources.check_tenure()?;
            let id = txn.id;
            return match resources.store.commit(txn).await {
                Ok(revision) => Ok(Some(revision)),
                Err(CommitError::Ambiguous { reason, .. }) => self.resolve(id, &reason).await.map(Some),
                Err(CommitError::GuardFailed { key, .. })
                    if attempt < MAX_CONFLICTS && resources.forget_namespace(&key) =>
                {
                    continue;
                }
                Err(error) => Err(self.explain(error)),
            };
        }
        Ok(None)
    }

    /// The keys of what is to be created.
    fn creations(&self) -> impl Iterator<Item = &Key> {
        let created = |staged: &&Staged| staged.expect.is_none() && matches!(staged.step, Step::Write(_));
        self.staged.iter().filter(created).map(|staged| &staged.key)
    }

    /// What was staged belongs to a unit of work: it is written when that is.
    async fn hold_back(self, unit: &UnitOfWork) -> Result<Vec<DynamicObject>> {
        for (namespace, at) in self.resources.admit(self.creations()).await? {
            unit.note(&namespace, Some(at));
        }
        let mut objects = Vec::new();
        for staged in self.staged {
            let (found, as_of) = self.resources.entry(&staged.key).await?;
            if staged.expect.is_none() && found.is_some() {
                return Err(Error::AlreadyExists { key: staged.key });
            }
            match &staged.step {
                Step::Unchanged => {}
                Step::Write(next) => unit.hold_back(&staged.key, Written::Object(next.clone()))?,
                Step::Remove => unit.hold_back(&staged.key, Written::Gone)?,
            }
            let revision = staged.expect.unwrap_or(as_of);
            objects.push(staged.after(revision));
        }
        Ok(objects)
    }

    /// What would be answered if it were committed now. Nothing of it is written, so no object has a new revision,
    /// and none that is there was modified at another time.
    async fn pretend(self) -> Result<Vec<DynamicObject>> {
        for staged in &self.staged {
            let (found, _) = self.resources.entry(&staged.key).await?;
            let found = found.map(|entry| entry.revision);
            if found != staged.expect {
                return Err(staged.conflict(found));
            }
        }
        self.resources.would_admit(self.creations()).await?;
        self.encode(&[])?;
        Ok(self.staged.into_iter().map(Staged::unwritten).collect())
    }

    fn encode(&self, admitted: &[(Key, Revision)]) -> Result<Option<Txn>> {
        let mut txn = Txn::new(TxnId::random(&*self.resources.random), Arc::clone(&self.resources.writer));
        for staged in &self.staged {
            txn = match (&staged.step, staged.expect) {
                (Step::Unchanged, _) | (Step::Remove, None) => txn,
                (Step::Write(next), None) => txn.create(staged.key.clone(), StoredObject::encode(next)?),
                (Step::Write(next), Some(at)) => txn.update(staged.key.clone(), StoredObject::encode(next)?, at),
                (Step::Remove, Some(at)) => txn.delete(staged.key.clone(), at),
            };
        }
        if txn.ops.is_empty() {
            return Ok(None);
        }
        for staged in self.staged.iter().filter(|staged| staged.step == Step::Unchanged) {
            txn = txn.guard(staged.key.clone(), staged.expect.map_or(Expect::Absent, Expect::At));
        }
        for (namespace, at) in admitted {
            txn = txn.guard(namespace.clone(), Expect::At(*at));
        }
        Ok(Some(self.resources.fence(txn)))
    }

    /// What became of a commit whose answer was lost: reads one of its keys. Its own transaction there, or an object of
    /// its own, whoever changed that since: it happened. The revision that was expected: it may still be on its way, and
    /// whoever writes next must expect the same revision. Anything else: it can't happen any more, if it did not; of a
    /// name that was generated that does not say enough, since nobody may take another before it is known.
    async fn resolve(&self, id: TxnId, reason: &str) -> Result<Revision> {
        let ambiguous = || Error::Ambiguous { txn: id, reason: reason.into() };
        let written = || self.staged.iter().filter(|staged| matches!(staged.step, Step::Write(_)));
        // What is created has an identity, by which it is known however often it was changed since.
        let Some(staged) = written().find(|staged| staged.expect.is_none()).or_else(|| written().next()) else {
            return Err(ambiguous());
        };
        let Ok((entry, _)) = self.resources.entry(&staged.key).await else { return Err(ambiguous()) };
        match entry {
            Some(entry) if entry.txn == id => Ok(entry.revision),
            Some(entry) if staged.expect.is_none() && is_life_of(&entry, &staged.object) => Ok(entry.create_revision),
            entry if entry.as_ref().map(|entry| entry.revision) == staged.expect => Err(ambiguous()),
            _ if staged.expect.is_none() && !staged.object.metadata.generate_name.is_empty() => Err(ambiguous()),
            entry => Err(staged.conflict(entry.map(|entry| entry.revision))),
        }
    }

    pub(super) fn explain(&self, error: CommitError) -> Error {
        match error {
            CommitError::Conflict { key, current } => match self.staged.iter().find(|staged| staged.key == key) {
                Some(staged) => staged.conflict(current),
                None => Error::Conflict { key, expected: Expected::Absent, current },
            },
            CommitError::GuardFailed { key, current } => match self.staged.iter().find(|staged| staged.key == key) {
                Some(staged) => staged.conflict(current),
                None if !key.is_system() => Error::unavailable(format!("{key} has changed again and again")),
                None => Error::Fenced(Fence::Ownership { key }),
            },
            CommitError::Fenced { current } => Error::Fenced(Fence::Epoch { current }),
            CommitError::Ambiguous { txn, reason } => Error::Ambiguous { txn, reason },
            CommitError::Invalid(error) => error.into(),
            CommitError::Exhausted(error) => Error::unavailable(error.to_string()),
            CommitError::Unavailable { reason } => Error::Unavailable { reason },
        }
    }

    fn stage(&mut self, staged: Staged) -> Result<usize> {
        self.staged.push(staged);
        let mut seen = HashSet::new();
        let mut keys = self.staged.iter().filter(|staged| staged.step != Step::Unchanged).map(|staged| &staged.key);
        match keys.find(|key| !seen.insert((key.group(), key.resource()))) {
            Some(second) => {
                let message = format!("{second} is the second object of its kind, expected at most one of each kind");
                Err(Error::invalid("transaction", Violations::one("", message)))
            }
            None => Ok(self.staged.len() - 1),
        }
    }

    fn kind_of(&self, object: &DynamicObject) -> Result<Arc<KindDescriptor>> {
        self.resources.kinds.by_manifest(&object.api_version, &object.kind).cloned()
    }

    async fn read(&self, object: &DynamicObject) -> Result<Arc<Entry>> {
        let key = self.kind_of(object)?.key(&object.metadata.namespace, &object.metadata.name)?;
        let (entry, _) = self.resources.entry(&key).await?;
        entry.ok_or(Error::NotFound { key })
    }

    fn generate_name(&self, object: &mut DynamicObject) {
        /// Without vowels, so that no word comes out by chance; and without what is read as something else.
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        if !object.metadata.name.is_empty() || object.metadata.generate_name.is_empty() {
            return;
        }
        object.metadata.name.clone_from(&object.metadata.generate_name);
        for _ in 0..5 {
            let index = usize::try_from(self.resources.random.below(ALPHABET.len() as u64)).unwrap_or_default();
            object.metadata.name.push(char::from(ALPHABET[index]));
        }
    }
}

/// Whether what is stored is this object, as it was created or changed since.
pub(super) fn is_life_of(entry: &Entry, created: &DynamicObject) -> bool {
    entry.object().is_ok_and(|stored| stored.metadata.uid == created.metadata.uid)
}

impl Staged {
    fn conflict(&self, current: Option<Revision>) -> Error {
        let key = self.key.clone();
        match (self.expect, current) {
            (None, _) => Error::AlreadyExists { key },
            (Some(_), None) => Error::NotFound { key },
            (Some(expected), Some(_)) => Error::Conflict { key, expected: Expected::Revision(expected), current },
        }
    }

    fn unwritten(self) -> DynamicObject {
        match (self.step, self.expect) {
            (Step::Write(mut next), expect) => {
                next.metadata.resource_version = expect;
                if expect.is_some() {
                    next.metadata.last_modified = self.object.metadata.last_modified;
                }
                *next
            }
            (Step::Unchanged | Step::Remove, _) => self.object,
        }
    }

    fn after(self, revision: Revision) -> DynamicObject {
        match self.step {
            Step::Write(mut next) => {
                next.metadata.resource_version = Some(revision);
                *next
            }
            Step::Unchanged | Step::Remove => self.object,
        }
    }
}
