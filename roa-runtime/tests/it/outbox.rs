//! Effects outside of the store: done at least once, recognised by their ids.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    CancellationSource, Context, EffectState, Key, ReconcileError, SystemRandom, Txn, TxnId, Value as Stored,
};
use roa_runtime::{EffectHandler, OutboxConfig, OutboxRelay, Runnable, RuntimeMetrics, SystemClock, Tasks};
use serde_json::{Value as Json, json};

use crate::support::{World, soon, until};

/// The outside: what was done under each id, once however often it was asked for.
#[derive(Clone, Default)]
struct Mail {
    sent: Arc<Mutex<BTreeMap<String, Json>>>,
    calls: Arc<Mutex<usize>>,
}

#[async_trait]
impl EffectHandler for Mail {
    fn name(&self) -> &'static str {
        "mail"
    }

    async fn perform(&self, id: &str, request: &Json, _cx: &Context) -> Result<Json, ReconcileError> {
        let call = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        match request["to"].as_str() {
            Some("nobody") => Err(ReconcileError::Permanent { reason: "NoSuchAddress", message: "nobody".into() }),
            Some("busy") if call < 3 => Err(ReconcileError::Transient { reason: "Busy", message: String::new() }),
            Some("cursed") if call == 1 => panic!("cursed"),
            _ => {
                let mut sent = self.sent.lock().unwrap();
                let number = sent.len() + 1;
                Ok(sent.entry(id.to_owned()).or_insert(json!(number)).clone())
            }
        }
    }
}

fn run(world: &World, mail: &Mail, metrics: &RuntimeMetrics) -> (Tasks, CancellationSource) {
    let relay = OutboxRelay::new(world.hub.clone(), Arc::new(SystemClock::new()), OutboxConfig::default(), metrics);
    let relay = relay.with(Arc::new(mail.clone()));
    let (tasks, stop) = (Tasks::new("test", 1), CancellationSource::new());
    let cx = Context::new("outbox", world.resources.clone()).with_cancellation(stop.token());
    tasks.spawn_draining("relay", move |_| async move { relay.run(&cx).await }).unwrap();
    (tasks, stop)
}

async fn stop((tasks, stop): (Tasks, CancellationSource)) {
    stop.cancel();
    assert!(soon("the end", tasks.shutdown(&SystemClock::new(), Duration::from_secs(5))).await.is_empty());
}

async fn answer(world: &World, id: &str, to: &str) -> EffectState {
    soon("an answer", async {
        loop {
            match world.resources.effect("mail", id, &json!({"to": to})).await.unwrap() {
                EffectState::Pending => {
                    world.clock.advance(Duration::from_millis(50));
                    crate::support::pause().await;
                }
                state => return state,
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_is_done_and_its_answer_is_seen_also_by_the_next_process() {
    let (world, mail, metrics) = (World::new().await, Mail::default(), RuntimeMetrics::unregistered());
    world.resources.effect("mail", "before", &json!({"to": "ann"})).await.unwrap();
    let running = run(&world, &mail, &metrics);
    assert_eq!(answer(&world, "before", "ann").await, EffectState::Done(json!(1)), "asked for before it ran");
    assert_eq!(answer(&world, "after", "bob").await, EffectState::Done(json!(2)));
    stop(running).await;
    let running = run(&world, &mail, &metrics);
    assert_eq!(answer(&world, "third", "eve").await, EffectState::Done(json!(3)));
    assert_eq!((*mail.calls.lock().unwrap(), metrics.effect_count("mail", "success")), (3, 3), "nothing is done again");
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_or_panics_is_tried_again_and_what_cannot_be_done_says_so() {
    for (to, calls) in [("busy", 3), ("cursed", 2)] {
        let (world, mail, metrics) = (World::new().await, Mail::default(), RuntimeMetrics::unregistered());
        let running = run(&world, &mail, &metrics);
        assert_eq!(answer(&world, "one", to).await, EffectState::Done(json!(1)));
        assert_eq!(*mail.calls.lock().unwrap(), calls);
        let refused = answer(&world, "two", "nobody").await;
        assert!(matches!(&refused, EffectState::Failed { reason, .. } if reason == "NoSuchAddress"), "{refused:?}");
        stop(running).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l8_what_is_done_is_forgotten_after_its_time_by_an_ordinary_commit() {
    let (world, mail, metrics) = (World::new().await, Mail::default(), RuntimeMetrics::unregistered());
    // What can't be read keeps nothing behind it.
    let unreadable = Key::system("outbox", "mail/0").unwrap();
    let txn = Txn::new(TxnId::random(&SystemRandom), "test").create(unreadable, Stored::opaque("nonsense"));
    world.store.commit(txn).await.unwrap();
    let running = run(&world, &mail, &metrics);
    answer(&world, "one", "ann").await;
    let there = async || {
        let key = Key::system("outbox", "mail/one").unwrap();
        world.store.get(&key).await.unwrap().entry.is_some()
    };
    world.clock.advance(Duration::from_secs(3_600));
    until("it swept", || world.clock.pending_timers() > 0).await;
    assert!(there().await);
    world.clock.advance(Duration::from_secs(86_400));
    soon("it is forgotten", async {
        while there().await {
            world.clock.advance_to_next_timer();
            crate::support::pause().await;
        }
    })
    .await;
    stop(running).await;
}
