//! [`LabWorkerHeartbeat`]: that a worker lives. [`Pulses`]: for how long it gave no sign of it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use roa_core::{Column, Context, Error, Metadata, Object, OwnerReference, Result, Scope, Spec, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Worker;
use crate::{GROUP, LabWorker, NoStatus, VERSION};

/// A worker's heartbeat, under the worker's name.
pub type WorkerHeartbeat = Object<LabWorkerHeartbeat>;

/// The last sign of life of the worker of the same name. It stands in an object of its own, so that a sign of life is no
/// change of the worker: a worker writes one small object each period, and nobody but the sweep reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabWorkerHeartbeat {
    /// Which worker: its uid.
    pub worker: String,
    /// When, by the worker's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::Time>")]
    pub time: Option<Timestamp>,
}

impl Spec for LabWorkerHeartbeat {
    type Status = NoStatus;
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "LabWorkerHeartbeat";
    const PLURAL: &'static str = "labworkerheartbeats";
    const SCOPE: Scope = Scope::Namespaced;

    fn schema() -> Option<serde_json::Value> {
        Some(crate::schema::of::<Self>())
    }

    fn columns() -> Vec<Column> {
        vec![Column::date("TIME", "spec.time")]
    }
}

/// Says that a worker lives.
pub(super) async fn beat(worker: &Worker, cx: &Context) -> Result<()> {
    let (metadata, now) = (&worker.metadata, cx.now());
    let spec = LabWorkerHeartbeat { worker: metadata.uid.clone(), time: Some(now) };
    let api = cx.api::<LabWorkerHeartbeat>()?;
    let patched = api.patch(&metadata.namespace, &metadata.name, |beat| {
        beat.spec = spec.clone();
        beat.metadata.owner_references = vec![owner(metadata)];
    });
    match patched.await {
        Err(Error::NotFound { .. }) => {
            let mut first = WorkerHeartbeat::new(&metadata.namespace, &metadata.name, spec);
            first.metadata.owner_references = vec![owner(metadata)];
            match api.create(&first).await {
                // Somebody else said the same at the same time.
                Err(Error::AlreadyExists { .. }) => Ok(()),
                outcome => outcome.map(|_| ()),
            }
        }
        outcome => outcome.map(|_| ()),
    }
}

/// It goes with its worker.
fn owner(worker: &Metadata) -> OwnerReference {
    OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: LabWorker::KIND.to_owned(),
        name: worker.name.clone(),
        uid: worker.uid.clone(),
        ..OwnerReference::default()
    }
}

/// The last sign of life of each worker, and when it was first seen by the clock of this process. So neither a worker
/// whose clock is wrong nor a process that was away for a while takes a worker for dead.
#[derive(Debug, Default)]
pub(super) struct Pulses {
    by_uid: Mutex<HashMap<String, Pulse>>,
}

#[derive(Debug, Clone, Copy)]
struct Pulse {
    said: Option<Timestamp>,
    seen: Timestamp,
}

impl Pulses {
    /// For how long this process has seen no newer sign of life than the one that is there now.
    pub(super) fn silence(&self, uid: &str, said: Option<Timestamp>, now: Timestamp) -> Duration {
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        let pulse = by_uid.entry(uid.to_owned()).or_insert(Pulse { said, seen: now });
        if pulse.said != said {
            *pulse = Pulse { said, seen: now };
        }
        now.duration_since(pulse.seen)
    }

    /// Forgets a worker: should it come up once more, its time begins anew.
    pub(super) fn forget(&self, uid: &str) {
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// Forgets all workers but these.
    pub(super) fn keep(&self, uids: &HashSet<&str>) {
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| uids.contains(uid.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    #[test]
    fn silence_is_counted_by_the_own_clock_since_the_last_news() {
        let pulses = Pulses::default();
        let wrong = Some(at(5)); // by a clock that is far behind
        assert_eq!(pulses.silence("a", wrong, at(1000)), Duration::ZERO);
        assert_eq!(pulses.silence("a", wrong, at(1030)), Duration::from_secs(30));
        assert_eq!(pulses.silence("a", Some(at(6)), at(1031)), Duration::ZERO);
        assert_eq!(pulses.silence("b", None, at(2000)), Duration::ZERO, "one that was never heard of has its time too");
        assert_eq!(pulses.silence("b", None, at(2100)), Duration::from_secs(100));
        assert_eq!(Pulses::default().silence("a", wrong, at(9999)), Duration::ZERO, "a restart begins anew");
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let pulses = Pulses::default();
        pulses.silence("a", None, at(0));
        pulses.silence("b", None, at(0));
        pulses.keep(&HashSet::from(["b"]));
        assert_eq!(pulses.by_uid.lock().unwrap().len(), 1);
        pulses.forget("b");
        assert_eq!(pulses.silence("b", None, at(9)), Duration::ZERO);
    }
}
