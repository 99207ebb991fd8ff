//! The core of ROA: the traits that everything else implements or drives, the data in their signatures, and the rules
//! of an object's life as pure functions. No input or output, no tasks, no timers.
//!
//! # Layout
//! - A kind: [`Spec`], [`Object`], [`DynamicObject`], [`RawObject`], [`KindDescriptor`], [`StateMachine`]; built in: [`Namespace`]
//! - What authors of kinds write: [`Controller`], [`Reconciler`]; what they are given: [`Context`], [`Api`], [`Index`], [`KeyOf`]
//! - How changes are seen: [`Watcher`]
//! - How objects are written: [`ResourceStore`] over the rules in [`lifecycle`]
//! - What a backend proves: [`Store`], with [`Txn`], [`Batch`], [`Tail`], [`Revision`], [`Key`]
//! - What is injected: [`Clock`], [`Random`], [`Cancellation`], [`EventSink`], [`Dependency`]

mod cancel;
mod clock;
mod condition;
mod context;
mod controller;
mod dependency;
mod entry;
mod error;
mod event;
mod field_path;
mod index;
mod key;
mod kind;
pub mod lifecycle;
mod log;
pub mod names;
mod namespace;
mod object;
mod random;
mod resources;
mod revision;
#[cfg(feature = "schema")]
mod schema;
mod selector;
mod state_machine;
mod store;
mod time;
mod txn;
mod validation;
mod watcher;

pub use cancel::{Cancellation, CancellationSource};
pub use clock::{Clock, ClockExt, ManualClock, Monotonic};
pub use condition::{Condition, ConditionStatus, Conditions};
pub use context::{CacheReader, Caches, Cause, Context};
pub use controller::{Action, Controller, Drift, DriftKind, ReconcileError, Reconciler};
pub use dependency::{CallOutcome, Dependencies, Dependency, Passage};
pub use entry::{Entry, Format, Value};
pub use error::{Advice, CommitError, Error, Expected, Fence, Result};
pub use event::{Event, EventSink, NoEvents, Severity};
pub use field_path::{FieldPath, FieldPathError};
pub use index::{Index, KeyOf};
pub use key::{Key, KeyError, KeyPrefix, SYSTEM_GROUP};
pub use kind::{
    Column, ColumnFormat, KindDescriptor, KindRegistry, KindVersion, NameRule, Scope, Spec, UnknownFields, Validator,
};
pub use log::{Batch, ChainBreak, Change, Changes, LookBack, RecentBatches, Rewind, Tail, TailChecker, TailEnd};
pub use namespace::{DEFAULT_NAMESPACE, Namespace, NamespaceStatus, namespace_kind};
pub use object::{DecodeError, DynamicObject, Metadata, Object, OwnerReference, RawObject, Resource, StoredObject};
pub use random::{Random, RandomExt, SeededRandom, SystemRandom};
pub use resources::{
    Api, Effect, EffectState, ListOptions, MAX_CONFLICTS, NamespaceContent, ObjectList, Ownership, ResourceStore,
    StoreExt, Tenure, Transaction, UnitOfWork, WriteMark,
};
pub use revision::{Epoch, Position, Revision, RevisionError, StoreId, TxnId};
#[cfg(feature = "schema")]
pub use schema::{structural, structural_schema};
pub use selector::{FieldSelector, LabelSelector, SelectorError};
pub use state_machine::{StateMachine, Transition, TransitionError, TransitionFacts, When};
pub use store::{
    At, Capabilities, Continue, Durability, Health, Linearizable, ListRequest, Page, Read, Store, StoreState,
};
pub use time::{HumanDuration, TimeError, Timestamp};
pub use txn::{Expect, Guard, Op, Txn, TxnError};
pub use validation::{Violation, ViolationReason, Violations};
pub use watcher::{ChangeKind, Start, WatchEvent, WatchItem, WatchStream, Watcher};
