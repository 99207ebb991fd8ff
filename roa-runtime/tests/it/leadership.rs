//! Leadership that is lost while a call runs, and calls that take longer than a lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    Action, CancellationSource, ClockExt, Context, Controller, Key, Object, ReconcileError, SystemRandom, Txn, TxnId,
    Value,
};
use roa_runtime::{
    Clocks, ControllerConfig, LeaseConfig, Manager, ManagerConfig, Membership, Mode, SystemClock, Tasks,
};
use serde_json::json;

use crate::support::{Thing, World, soon, until};

/// A lease that a test can wait for, and a busy machine keeps.
const LEASE: LeaseConfig = LeaseConfig {
    duration: Duration::from_millis(2_000),
    renew_deadline: Duration::from_millis(1_500),
    retry_period: Duration::from_millis(100),
};

/// Hangs in its first call, or takes its time in each; then writes a note.
#[derive(Default)]
struct Patient {
    hangs: AtomicBool,
    takes: Duration,
    calls: AtomicUsize,
    dropped: AtomicBool,
}

struct Handle(Arc<Patient>);

struct Dropped<'a>(&'a AtomicBool);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Controller for Handle {
    type Resource = Object<Thing>;

    fn name(&self) -> &'static str {
        "patient"
    }

    async fn reconcile(&self, thing: Arc<Object<Thing>>, cx: &Context) -> Result<Action, ReconcileError> {
        if !thing.status.note.is_empty() {
            return Ok(Action::Done);
        }
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        if self.0.hangs.swap(false, Ordering::SeqCst) {
            let _dropped = Dropped(&self.0.dropped);
            std::future::pending::<()>().await;
        }
        cx.clock().sleep(self.0.takes).await;
        let mut next = (*thing).clone();
        next.status.note = "noted".into();
        cx.api::<Thing>()?.update_status(&next).await?;
        Ok(Action::Done)
    }
}

struct Leading {
    patient: Arc<Patient>,
    membership: Membership,
    tasks: Tasks,
    stop: CancellationSource,
}

impl Leading {
    async fn start(world: &World, patient: Patient) -> Self {
        let mode = Mode::Leader { lease: "things".into(), holder: "one".into(), config: LEASE };
        let clocks = Clocks::same(Arc::new(SystemClock::new()));
        let resources = roa_core::ResourceStore::new(
            world.store.clone(),
            Arc::new(roa_core::KindRegistry::new().with::<Thing>()),
            clocks.domain.clone(),
            Arc::new(SystemRandom),
            "test",
        );
        let config = ManagerConfig::new(mode);
        let mut manager = Manager::new(world.store.clone(), resources, clocks, config).await.unwrap();
        let patient = Arc::new(patient);
        manager.add_controller::<Thing, _>(Handle(patient.clone()), ControllerConfig::default()).unwrap();
        let membership = manager.membership().unwrap();
        let (tasks, stop) = (Tasks::new("test", 1), CancellationSource::new());
        let token = stop.token();
        tasks.spawn_draining("manager", move |_| async move { manager.run(token, || {}).await.unwrap() }).unwrap();
        Self { patient, membership, tasks, stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        assert!(self.tasks.shutdown(&SystemClock::new(), Duration::from_secs(5)).await.is_empty());
    }
}

async fn noted(world: &World) {
    soon("it is noted", async {
        while world.api().get("test", "a").await.unwrap().status.note.is_empty() {
            crate::support::pause().await;
        }
    })
    .await;
}

/// Another process is written down as the leader, which never gives a sign of life.
async fn usurp(world: &World) {
    let key = Key::system("leases", "things").unwrap();
    let entry = world.store.get(&key).await.unwrap().entry.unwrap();
    let owner = json!({"holder": "usurper", "incarnation": "x", "acquiredAt": "2027-01-02T03:04:05Z"});
    let record = json!({"owner": owner, "transitions": 9}).to_string();
    let txn = Txn::new(TxnId::random(&SystemRandom), "test").update(key, Value::opaque(record), entry.revision);
    world.store.commit(txn).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_37_a_call_ends_when_leadership_is_lost_and_what_was_left_is_done_when_it_is_had_again() {
    let world = World::new().await;
    let leading = Leading::start(&world, Patient { hangs: AtomicBool::new(true), ..Patient::default() }).await;
    world.create("a", 1).await;
    until("the call runs", || leading.patient.calls.load(Ordering::SeqCst) == 1).await;
    usurp(&world).await;
    until("the call was dropped", || leading.patient.dropped.load(Ordering::SeqCst)).await;
    assert_eq!(leading.membership.losses(), 1);
    noted(&world).await;
    assert_eq!((leading.patient.calls.load(Ordering::SeqCst), leading.membership.acquisitions()), (2, 2));
    leading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_40_a_call_that_takes_longer_than_the_lease_does_not_keep_it_from_being_renewed() {
    let world = World::new().await;
    let takes = LEASE.duration + LEASE.renew_deadline;
    let leading = Leading::start(&world, Patient { takes, ..Patient::default() }).await;
    world.create("a", 1).await;
    noted(&world).await;
    assert_eq!(leading.patient.calls.load(Ordering::SeqCst), 1, "one call did it");
    assert_eq!((leading.membership.acquisitions(), leading.membership.losses()), (1, 0));
    leading.stop().await;
}
