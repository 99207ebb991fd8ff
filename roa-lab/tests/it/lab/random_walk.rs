//! Whatever happens in whatever order: no state is left in a way that is not declared, and a lab that is asked to go goes.

use std::time::Duration;

use proptest::prelude::*;
use roa_core::{Action, Error, ReconcileError, TransitionFacts};
use roa_lab::provision::ProvisionError;
use roa_lab::{Lab, MACHINE, Written};

use super::world::{World, seconds};

/// Something that happens.
#[derive(Debug, Clone)]
enum Happening {
    Call,
    Sweep,
    Restart,
    Pass(Duration),
    Edit(u8),
    Delete,
    Answers,
    Exits,
    Vanishes,
    IsUnhealthy,
    RefusesStarts(bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        12 => Just(Happening::Call),
        4 => Just(Happening::Sweep),
        1 => Just(Happening::Restart),
        3 => (1..400_u64).prop_map(|time| Happening::Pass(seconds(time))),
        1 => Just(Happening::Pass(seconds(4000))),
        2 => (0..4_u8).prop_map(Happening::Edit),
        1 => Just(Happening::Delete),
        3 => Just(Happening::Answers),
        2 => Just(Happening::Exits),
        1 => Just(Happening::Vanishes),
        1 => Just(Happening::IsUnhealthy),
        1 => any::<bool>().prop_map(Happening::RefusesStarts),
    ]
}

/// Each write led from one state to another by a declared change, under the conditions that held then.
fn assert_writes(mut before: Lab, written: &[Lab]) -> Lab {
    for after in written {
        let facts = TransitionFacts {
            spec_changed: before.metadata.generation > before.status.observed_generation,
            deleting: before.metadata.is_deleting(),
        };
        let (from, to) = (before.status.state(), after.status.state());
        assert_eq!(MACHINE.check(Some(from.as_str()), to.as_str(), facts), Ok(()), "{:?}", after.status);
        assert_history(after);
        before = after.clone();
    }
    before
}

/// The history is a chain of declared changes, the last of which led to where the lab is.
fn assert_history(lab: &Lab) {
    for change in lab.status.history.iter() {
        let facts = TransitionFacts { spec_changed: true, deleting: true };
        let from = change.from.map(roa_lab::LabState::as_str);
        assert_eq!(MACHINE.check(from, change.to.as_str(), facts), Ok(()), "{:?}", lab.status.history);
    }
    let last = lab.status.history.iter().next_back().map(|change| change.to);
    assert_eq!(last, lab.status.state, "{:?}", lab.status);
}

fn assert_call(outcome: Option<Result<Action, ReconcileError>>) {
    match outcome {
        Some(Err(ReconcileError::Resource(error @ Error::Transition { .. }))) => {
            panic!("tried what is not declared: {error}")
        }
        Some(Err(error)) => assert!(error.is_retryable(), "{error}"),
        None | Some(Ok(_)) => {}
    }
}

async fn happen(world: &mut World, uid: &str, happening: &Happening) {
    match happening {
        Happening::Call => assert_call(world.call("a").await),
        Happening::Sweep => drop(world.sweep().await),
        Happening::Restart => world.restart(),
        Happening::Pass(time) => world.clock.advance(*time),
        Happening::Edit(hours) if world.find("a").await.is_some() => {
            world.edit("a", |spec| spec.duration = Some(Written::new(format!("{}h", hours + 1)))).await;
        }
        Happening::Delete if world.find("a").await.is_some() => world.delete("a").await,
        Happening::Edit(_) | Happening::Delete => {}
        Happening::Answers => world.fake.answers(uid),
        Happening::Exits => world.fake.exits(uid, "boom"),
        Happening::Vanishes => world.fake.vanishes(uid),
        Happening::IsUnhealthy => world.fake.is_unhealthy(uid),
        Happening::RefusesStarts(refuses) => {
            world.fake.refuses(refuses.then_some(|lab| ProvisionError::AtCapacity { lab: lab.clone(), limit: 1 }));
        }
    }
}

async fn walk(happenings: &[Happening]) {
    let mut world = World::new();
    world.course().await;
    let uid = world.lab("a").await.metadata.uid;
    let mut before = world.get("a").await;
    let mut since = before.metadata.resource_version.unwrap();
    for happening in happenings {
        happen(&mut world, &uid, happening).await;
        let (written, head) = world.written_since("a", since).await;
        (before, since) = (assert_writes(before, &written), head);
        let placed = before.status.allocation.is_some();
        assert!(!world.fake.exists(&uid) || placed, "{happening:?}: {:?}", before.status);
    }
    if world.find("a").await.is_some() {
        world.delete("a").await;
        world.run("a").await;
        let (written, _) = world.written_since("a", since).await;
        assert_writes(before, &written);
    }
    assert!(world.find("a").await.is_none(), "a lab that is asked to go goes: {:?}", world.find("a").await);
    assert!(!world.fake.exists(&uid), "and nothing of it stays");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_a_rule_and_a_deleted_lab_always_goes(happenings in prop::collection::vec(happening(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(walk(&happenings));
    }
}
