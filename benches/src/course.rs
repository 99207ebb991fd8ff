//! A kind as people write them, whose objects are about 1 KiB of JSON, and a watcher that makes them as it goes: so that
//! what is measured is the engine and no store.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use roa_core::{
    ChangeKind, Conditions, Entry, Epoch, Key, Position, Resource, Result, Revision, Scope, Spec, Start, StoreId,
    TailEnd, TxnId, Value, WatchEvent, WatchItem, WatchStream, Watcher,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Notify;

/// What is to be taught, with what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Course {
    /// The template of its machines.
    pub template: String,
    /// Who takes it.
    pub student_email: String,
    /// For how long.
    pub duration: String,
    /// What its machines find in their environment.
    pub environment: BTreeMap<String, String>,
}

/// What is there of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CourseStatus {
    /// Where it stands.
    pub state: Option<String>,
    /// Up to which generation that is so.
    pub observed_generation: u64,
    /// For people.
    pub message: String,
    /// What is so and since when.
    pub conditions: Conditions,
}

impl Spec for Course {
    type Status = CourseStatus;
    const GROUP: &'static str = "bench.example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Course";
    const PLURAL: &'static str = "courses";
    const SCOPE: Scope = Scope::Namespaced;

    fn conditions(status: &CourseStatus) -> Option<&Conditions> {
        Some(&status.conditions)
    }

    fn schema() -> Option<serde_json::Value> {
        let text = json!({ "type": "string" });
        Some(json!({
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "properties": { "template": text, "studentEmail": text, "duration": text, "environment": { "type": "object" } },
                },
                "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            },
        }))
    }
}

/// The entry of the course with this number, as of a revision.
///
/// # Panics
/// Never: the segments of its key are fixed.
#[must_use]
#[expect(clippy::expect_used, reason = "the segments are fixed and short")]
pub fn course(number: usize, revision: Revision) -> Entry {
    let (name, namespace) = (format!("course-{number:06}"), format!("school-{:02}", number % 20));
    let key = Key::new(Course::GROUP, Course::PLURAL, &namespace, &name).expect("fixed segments make a key");
    let mut json = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{number:08x}-4a7c-4d4e-9b61-0123456789ab","generation":1,"creationTimestamp":"2027-01-01T08:00:00Z","labels":{{"course":"python","tier":"web"}},"finalizers":["bench.example.com/cleanup"]}},"apiVersion":"bench.example.com/v1","kind":"Course","spec":{{"template":"python-3","studentEmail":"student-{number}@example.com","duration":"45m","environment":{{"COURSE":"python","EDITOR":"vi","LANG":"en_GB.UTF-8","REGION":"north","TERM":"xterm"}}}},"status":{{"state":"ready","observedGeneration":1,"message":"can be used at http://127.0.0.1:{port}","conditions":[{{"type":"Scheduled","status":"True","reason":"Scheduled","message":"500m cpu and 256Mi memory","lastTransitionTime":"2027-01-01T08:00:01Z"}},{{"type":"Ready","status":"True","reason":"Ready","message":"can be used","lastTransitionTime":"2027-01-01T08:00:02Z"}}]}}}}"#,
        port = 20_000 + number % 40_000,
    );
    // What a store reads has no room to spare.
    json.shrink_to_fit();
    Entry::created(key, Value::json(json), revision, TxnId::none(), "bench".into())
}

/// How many objects a page of a list has, as in the hub.
const PAGE: usize = 500;

/// Watches courses that it makes as it goes: a whole list, and another one each time that it is told that history is lost.
pub struct Generated<R> {
    count: usize,
    revision: Revision,
    /// Ends the watch: what follows is listed.
    pub lost: Arc<Notify>,
    resource: PhantomData<fn() -> R>,
}

impl<R: Resource> Generated<R> {
    /// A watcher of so many courses, all of one revision.
    #[must_use]
    pub fn new(count: usize, revision: Revision) -> Self {
        Self { count, revision, lost: Arc::default(), resource: PhantomData }
    }

    /// Up to where everything is delivered.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position { store: StoreId(uuid::Uuid::nil()), epoch: Epoch { counter: 1, nonce: 1 }, revision: self.revision }
    }
}

/// An entry as a watcher delivers it.
pub fn added<R: Resource>(entry: &Entry) -> WatchEvent<R> {
    WatchEvent { change: ChangeKind::Added, key: entry.key.clone(), object: R::decode(entry).map(Arc::new) }
}

#[async_trait]
impl<R: Resource> Watcher<R> for Generated<R> {
    async fn watch(&self, _start: Start) -> Result<WatchStream<R>> {
        let (count, position, lost) = (self.count, self.position(), Arc::clone(&self.lost));
        let page = move |from: usize| {
            let entries = (from..count.min(from + PAGE)).map(|number| course(number, position.revision));
            Ok(WatchItem::Events { position, events: entries.map(|entry| added(&entry)).collect() })
        };
        let pages = stream::iter((0..count).step_by(PAGE).map(page));
        let synced = stream::iter([Ok(WatchItem::Synced(position))]);
        let end = stream::once(async move {
            lost.notified().await;
            Err(TailEnd::Expired { floor: position.revision, head: position.revision })
        });
        Ok(pages.chain(synced).chain(end).boxed())
    }
}

impl<R> fmt::Debug for Generated<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generated({} courses)", self.count)
    }
}
