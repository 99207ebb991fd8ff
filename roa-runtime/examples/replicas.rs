//! Three replicas on one store divide the work by shards: each job is done by one of them, and when one leaves, the others
//! do its part. Here they run in one process; elsewhere each is a process of its own on one SQLite file or one Redis.
//!
//! `cargo run -p roa-runtime --example replicas`

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    Action, CancellationSource, Context, Controller, KindRegistry, Object, ReconcileError, ResourceStore, Scope, Spec,
    SystemRandom,
};
use roa_runtime::{Clocks, ControllerConfig, LeaseConfig, Manager, ManagerConfig, Mode, ShardBy, SystemClock, Tasks};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

const JOBS: usize = 60;
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Job {}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobStatus {
    done_by: Option<String>,
}

impl Spec for Job {
    type Status = JobStatus;
    const GROUP: &'static str = "example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Job";
    const PLURAL: &'static str = "jobs";
    const SCOPE: Scope = Scope::Namespaced;
}

/// Does each job once. Its writes are refused once another replica has the job's shard.
struct Replica {
    name: &'static str,
    done: mpsc::Sender<&'static str>,
}

#[async_trait]
impl Controller for Replica {
    type Resource = Object<Job>;

    fn name(&self) -> &'static str {
        "worker"
    }

    async fn reconcile(&self, job: Arc<Object<Job>>, cx: &Context) -> Result<Action, ReconcileError> {
        if job.status.done_by.is_some() {
            return Ok(Action::Done);
        }
        let mut next = (*job).clone();
        next.status.done_by = Some(self.name.to_owned());
        cx.api::<Job>()?.update_status(&next).await?;
        let _ = self.done.send(self.name).await; // nobody listens any more at the end
        Ok(Action::Done)
    }
}

/// What the replicas share.
#[derive(Clone)]
struct Shared {
    store: Arc<MemoryStore>,
    resources: ResourceStore,
    clock: Arc<SystemClock>,
    done: mpsc::Sender<&'static str>,
}

impl Shared {
    async fn start(&self, name: &'static str) -> Result<(Tasks, CancellationSource), Box<dyn Error>> {
        let [duration, renew_deadline, retry_period] = [3_000, 2_000, 100].map(Duration::from_millis);
        let config = LeaseConfig { duration, renew_deadline, retry_period };
        let mode = Mode::Sharded { group: "workers".into(), holder: name.into(), config, by: ShardBy::Object };
        let clocks = Clocks::same(self.clock.clone());
        let (store, resources) = (self.store.clone(), self.resources.clone());
        let mut manager = Manager::new(store, resources, clocks, ManagerConfig::new(mode)).await?;
        manager.add_controller(Replica { name, done: self.done.clone() }, ControllerConfig::default())?;
        let membership = manager.membership();
        let (tasks, stop) = (Tasks::new(name, 1), CancellationSource::new());
        let token = stop.token();
        tasks.spawn_draining(name, move |_| async move {
            if let Err(error) = manager.run(token, || ()).await {
                tracing::error!(%error, "a replica failed");
            }
        })?;
        // It has some shards when the others have given it its part.
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        let has_part = async {
            while membership.as_ref().is_none_or(|it| it.held() == 0) {
                looks.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, has_part).await?;
        Ok((tasks, stop))
    }

    async fn create_jobs(&self, prefix: &str) -> Result<(), Box<dyn Error>> {
        let api = self.resources.api::<Job>()?;
        for number in 0..JOBS {
            api.create(&Object::new("default", format!("{prefix}-{number}"), Job {})).await?;
        }
        Ok(())
    }
}

/// Who did how many of the next jobs.
async fn tally(done: &mut mpsc::Receiver<&'static str>) -> Result<BTreeMap<&'static str, usize>, Box<dyn Error>> {
    let mut tally = BTreeMap::new();
    for _ in 0..JOBS {
        let by = tokio::time::timeout(PATIENCE, done.recv()).await?.ok_or("all replicas have ended")?;
        *tally.entry(by).or_default() += 1;
    }
    Ok(tally)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
    let kinds = Arc::new(KindRegistry::new().with::<Job>());
    let resources = ResourceStore::new(store.clone(), kinds, clock.clone(), random, "main");
    let (done, mut jobs) = mpsc::channel(JOBS);
    let shared = Shared { store, resources, clock: clock.clone(), done };
    let (a, b, c) = (shared.start("a").await?, shared.start("b").await?, shared.start("c").await?);
    shared.create_jobs("first").await?;
    say(&format!("of three: {:?}", tally(&mut jobs).await?));
    for (left, (tasks, stop)) in [("c", c), ("b", b), ("a", a)] {
        stop.cancel();
        tasks.shutdown(&*clock, PATIENCE).await;
        if left != "a" {
            shared.create_jobs(left).await?;
            say(&format!("without {left}: {:?}", tally(&mut jobs).await?));
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is what the example shows")]
fn say(text: &str) {
    println!("{text}");
}
