//! A lab's life as its controller leads it.

use std::time::Duration;

use roa_core::{Action, ConditionStatus};
use roa_lab::{Capacity, LabController, LabPolicy, LabState, Quantity, Resources};

use crate::world::{Fate, NAMESPACE, NODE, World, exited, minutes};

#[tokio::test]
async fn lesson_31_a_lab_waits_for_a_template_by_name_and_goes_on_when_it_appears() {
    let world = World::new().await;
    world.create_with("a", |lab| lab.template = "rust-basics".into()).await;
    let wait = world.settle("a").await;
    assert_eq!((world.state("a").await, wait), (LabState::Pending, Some(Duration::from_secs(2))));
    let told = world.condition("a", "Scheduled").await;
    assert_eq!((told.status, told.reason.as_str()), (ConditionStatus::False, "TemplateMissing"));
    assert!(told.message.contains("\"rust-basics\"") && told.message.contains(NAMESPACE), "{}", told.message);
    assert_eq!(world.fake.begun(), 0);
    world.template("rust-basics", |_| ()).await;
    world.reach("a", LabState::Ready).await;
    assert_eq!(world.condition("a", "Scheduled").await.status, ConditionStatus::True);
}

#[tokio::test]
async fn a_template_of_the_namespace_goes_before_a_built_in_one() {
    let world = World::new().await;
    world.template("python-basics", |template| template.provisioner = "other".into()).await;
    world.create("a").await;
    world.reach("a", LabState::Failed).await;
    let message = world.lab("a").await.status.message;
    assert!(message.contains("no provisioner \"other\", expected one of process"), "{message}");
}

#[tokio::test]
async fn a_scheduled_lab_begins_five_minutes_before_and_not_earlier() {
    let world = World::new().await;
    let start = world.now().saturating_add(Duration::from_secs(3600));
    world.create_with("a", |lab| lab.scheduled_start = Some(start)).await;
    assert_eq!(world.settle("a").await, Some(Duration::from_secs(55 * 60)));
    assert_eq!(world.condition("a", "Scheduled").await.reason, "NotYet");
    world.advance(55 * 60 - 1);
    assert_eq!(world.settle("a").await, Some(Duration::from_secs(1)));
    assert_eq!((world.state("a").await, world.fake.begun()), (LabState::Pending, 0));
    world.advance(1);
    world.step_to("a", LabState::Provisioning).await;
}

#[tokio::test]
async fn failed_attempts_wait_twice_as_long_each_time_and_the_last_error_stays() {
    let world = World::new().await;
    world.fake.always(Fate::Exits);
    world.create("a").await;
    for (retry, base) in [(1, 30), (2, 60), (3, 120)] {
        let wait = world.attempt("a").await.unwrap().as_secs_f64();
        let (base, status) = (f64::from(base), world.lab("a").await.status);
        assert!((base..=base * 1.1).contains(&wait), "retry {retry} waits {wait} s");
        assert_eq!((status.state(), status.retries), (LabState::Provisioning, retry));
        assert!(status.message.contains(&format!("code 3; retry {retry} of 3 in ")), "{}", status.message);
        assert_eq!(world.fake.begun(), retry as usize, "nothing is begun before the wait is over");
        world.clock.advance(Duration::from_secs_f64(wait));
    }
    world.attempt("a").await;
    let status = world.lab("a").await.status;
    assert_eq!((status.state(), status.retries, world.fake.begun()), (LabState::Failed, 3, 4));
    assert_eq!(status.message, "exited with code 3");
    assert_eq!(world.events.reasons(), ["Exited"]);
    let attempts: Vec<_> = world.fake.requests().iter().map(|request| request.attempt).collect();
    assert_eq!(attempts, [0, 1, 2, 3]);
}

#[tokio::test]
async fn an_attempt_that_can_not_be_begun_is_counted_and_tried_again() {
    let world = World::new().await;
    world.fake.script(&[Fate::Refused]);
    world.create("a").await;
    assert!(world.settle("a").await >= Some(Duration::from_secs(30)));
    let status = world.lab("a").await.status;
    assert_eq!((status.state(), status.retries), (LabState::Provisioning, 1));
    assert!(status.message.contains("no room on the disk; retry 1 of 3"), "{}", status.message);
    world.reach("a", LabState::Ready).await;
}

#[tokio::test]
async fn what_no_retry_can_mend_is_not_tried_again() {
    let world = World::new().await;
    world.fake.always(Fate::Invalid);
    world.create("a").await;
    world.reach("a", LabState::Failed).await;
    assert_eq!(world.lab("a").await.status.retries, 0);
}

#[tokio::test]
async fn a_second_attempt_that_works_ends_ready_with_its_retries_counted() {
    let world = World::new().await;
    world.fake.script(&[Fate::Exits, Fate::Exits]);
    world.create("a").await;
    world.reach("a", LabState::Ready).await;
    let status = world.lab("a").await.status;
    assert_eq!((status.retries, status.message.as_str(), world.fake.begun()), (2, "", 3));
}

#[tokio::test]
async fn failed_goes_back_to_pending_only_by_a_change_of_spec_which_resets_retries() {
    let world = World::new().await;
    world.fake.always(Fate::Exits);
    world.create("a").await;
    world.reach("a", LabState::Failed).await;
    world.advance(60);
    assert_eq!(world.settle("a").await, None, "a failed lab is left alone");
    assert_eq!(world.state("a").await, LabState::Failed);
    world.fake.always(Fate::Works);
    world.change("a", |lab| lab.environment = [("LEVEL".to_owned(), "2".to_owned())].into()).await;
    while world.state("a").await == LabState::Failed {
        world.step("a").await.unwrap();
    }
    let status = world.lab("a").await.status;
    assert_eq!((status.state(), status.retries, status.allocation), (LabState::Pending, 0, None));
    world.reach("a", LabState::Ready).await;
    assert_eq!(world.fake.requests().last().unwrap().environment["LEVEL"], "2");
}

#[tokio::test]
async fn a_longer_duration_keeps_a_ready_lab_longer() {
    let world = World::new().await;
    world.create("a").await;
    world.reach("a", LabState::Ready).await;
    world.change("a", |lab| lab.duration = Some(minutes(120))).await;
    world.settle("a").await;
    let lab = world.lab("a").await;
    assert_eq!(lab.status.expires_at, lab.status.ready_at.map(|at| at.saturating_add(minutes(120).0)));
    assert_eq!(lab.status.observed_generation, 2);
    world.advance(90 * 60);
    world.settle("a").await;
    assert_eq!(world.state("a").await, LabState::Ready);
}

#[tokio::test]
async fn a_template_lowers_how_long_a_lab_may_live() {
    let world = World::new().await;
    world.template("short", |template| template.max_duration = Some(minutes(30))).await;
    for (name, duration) in [("fits", Some(minutes(30))), ("long", Some(minutes(31))), ("default", None)] {
        world
            .create_with(name, |lab| {
                lab.template = "short".into();
                lab.duration = duration;
            })
            .await;
        world.attempt(name).await;
    }
    assert_eq!(world.state("fits").await, LabState::Ready);
    assert_eq!(
        world.state("default").await,
        LabState::Failed,
        "the default of an hour is more than the template allows"
    );
    let lab = world.lab("long").await;
    assert_eq!(lab.status.state(), LabState::Failed);
    assert_eq!(lab.status.message, "a duration of 31m is more than the template \"short\" allows, 30m");
    assert_eq!(world.fake.begun(), 1);
    world.change("long", |lab| lab.duration = Some(minutes(10))).await;
    world.reach("long", LabState::Ready).await;
}

#[tokio::test]
async fn lesson_50_a_crash_between_the_start_and_the_status_starts_nothing_twice() {
    let mut world = World::new().await;
    world.fake.always(Fate::Hangs);
    world.create("a").await;
    world.step_to("a", LabState::Provisioning).await;
    assert_eq!(world.fake.begun(), 0, "the room is set aside before anything is begun");
    let before = world.head().await;
    world.step("a").await.unwrap();
    assert_eq!((world.fake.begun(), world.head().await), (1, before), "begun, and nothing written yet");
    world.restart().await;
    world.settle("a").await;
    world.fake.all_are(&crate::world::answers());
    world.restart().await;
    world.reach("a", LabState::Ready).await;
    assert_eq!(world.fake.begun(), 1);
}

#[tokio::test]
async fn a_crash_after_a_retry_was_begun_starts_nothing_twice() {
    let mut world = World::new().await;
    world.fake.script(&[Fate::Exits, Fate::Hangs]);
    let created = world.create("a").await;
    let wait = world.attempt("a").await.unwrap();
    let waiting = world.lab("a").await;
    world.clock.advance(wait);
    world.step("a").await.unwrap();
    assert_eq!(world.fake.begun(), 2);
    // As if the write after the start had never come: the status is again that of the wait.
    world.labs().patch_status(NAMESPACE, "a", |lab| lab.status = waiting.status.clone()).await.unwrap();
    world.restart().await;
    world.settle("a").await;
    assert_eq!((world.fake.begun(), world.lab("a").await.metadata.uid), (2, created.metadata.uid));
}

#[tokio::test]
async fn the_node_stands_in_the_lab_before_anything_is_begun_and_another_node_does_nothing() {
    let world = World::new().await;
    world.create("a").await;
    world.step_to("a", LabState::Provisioning).await;
    assert_eq!(world.fake.begun(), 0);
    assert_eq!(world.lab("a").await.status.allocation.unwrap().node, NODE);
    let mut settings = world.settings.clone();
    settings.node = "elsewhere".into();
    let other = LabController::new(settings);
    let before = world.head().await;
    for state in [LabState::Provisioning, LabState::Ready] {
        world.step_to("a", state).await;
        let before = world.head().await;
        assert_eq!(world.step_by(&other, "a").await.unwrap(), Action::Done);
        assert_eq!(world.head().await, before);
    }
    assert!(world.head().await > before);
    let begun = world.fake.begun();
    world.delete("a").await;
    let before = world.head().await;
    assert!(matches!(world.step_by(&other, "a").await.unwrap(), Action::RequeueAfter(_)));
    assert_eq!((world.head().await, world.fake.stops(), begun), (before, 0, 1));
    world.reach("a", None).await;
    assert_eq!(world.fake.holds(), 0);
}

fn one_cpu() -> Capacity {
    Capacity { cpu: Quantity::from_units(1), ..Capacity::default() }
}

#[tokio::test]
async fn a_lab_without_room_says_what_is_lacking_and_goes_on_when_there_is() {
    let world = World::with(LabPolicy::default(), one_cpu()).await;
    world.create("a").await;
    world.reach("a", LabState::Ready).await;
    world.create("b").await;
    world.settle("b").await;
    assert_eq!(world.state("b").await, LabState::Pending);
    let told = world.condition("b", "Scheduled").await;
    assert_eq!((told.reason.as_str(), told.message.as_str()), ("Unschedulable", "0/1 workers: 1 insufficient cpu"));
    world.delete("a").await;
    world.reach("a", None).await;
    world.reach("b", LabState::Ready).await;
}

#[tokio::test]
async fn lesson_57_a_restart_forgets_no_allocation() {
    let mut world = World::with(LabPolicy::default(), one_cpu()).await;
    world.create("a").await;
    world.reach("a", LabState::Ready).await;
    world.create("b").await;
    world.settle("b").await;
    world.restart().await;
    world.settle("b").await;
    assert_eq!(world.state("b").await, LabState::Pending, "the new controller has not seen a, but counts it");
    assert_eq!(world.lab("b").await.status.message, "0/1 workers: 1 insufficient cpu");
}

#[tokio::test]
async fn no_more_labs_are_brought_up_at_once_than_may_be() {
    let policy = LabPolicy { max_provisionings: 2, ..LabPolicy::default() };
    let world = World::with(policy, Capacity::default()).await;
    world.fake.always(Fate::Hangs);
    for name in ["a", "b", "c"] {
        world.create(name).await;
        world.settle(name).await;
    }
    assert_eq!((world.state("c").await, world.fake.begun()), (LabState::Pending, 2));
    assert!(world.lab("c").await.status.message.contains("2 labs are being brought up, as many as may be"));
    world.fake.all_are(&crate::world::answers());
    world.reach("a", LabState::Ready).await;
    world.reach("a", LabState::Ready).await;
    world.settle("c").await;
    assert_eq!(world.state("c").await, LabState::Provisioning);
}

#[tokio::test]
async fn a_lab_takes_what_it_says_else_what_its_template_says() {
    let world = World::new().await;
    let of = |cpu| Resources { cpu: Quantity::from_units(cpu), ..Resources::default() };
    world.template("big", |template| template.resources = Some(of(4))).await;
    world.create_with("a", |lab| lab.template = "big".into()).await;
    world
        .create_with("b", |lab| {
            lab.template = "big".into();
            lab.resources = Some(of(2));
        })
        .await;
    for (name, cpu) in [("a", 4), ("b", 2)] {
        world.reach(name, LabState::Ready).await;
        assert_eq!(world.lab(name).await.status.allocation.unwrap().cpu, Quantity::from_units(cpu));
    }
}

#[tokio::test]
async fn a_deletion_in_each_state_ends_gone_and_nothing_is_left_outside() {
    for state in [LabState::Pending, LabState::Provisioning, LabState::Ready, LabState::Failed] {
        let world = World::new().await;
        world.fake.always(if state == LabState::Failed { Fate::Exits } else { Fate::Works });
        world.create("a").await;
        match state {
            LabState::Pending => assert_eq!(world.step("a").await.unwrap(), Action::Done),
            LabState::Failed => world.reach("a", state).await,
            _ => world.step_to("a", state).await,
        }
        assert_eq!(world.state("a").await, state);
        world.fake.stop_slowly(2);
        world.delete("a").await;
        world.reach("a", None).await;
        assert_eq!((world.fake.stops(), world.fake.holds()), (3, 0), "deleted while {state}");
        let states = world.states("a").await;
        assert_eq!(states[states.len() - 2..], [LabState::Deleting, LabState::Deleted], "deleted while {state}");
        let last = world.past("a").await.pop().unwrap();
        assert_eq!((last.status.state, last.status.allocation), (Some(LabState::Deleted), None));
    }
}

#[tokio::test]
async fn a_deletion_before_the_finalizer_is_on_leaves_nothing() {
    let world = World::new().await;
    world.create("a").await;
    world.delete("a").await;
    assert_eq!(world.find("a").await, None);
    assert_eq!((world.fake.begun(), world.step("a").await.unwrap()), (0, Action::Done));
}

#[tokio::test]
async fn a_crash_while_a_lab_is_taken_away_goes_on_where_it_was() {
    let mut world = World::new().await;
    world.create("a").await;
    world.reach("a", LabState::Ready).await;
    world.fake.stop_slowly(3);
    world.delete("a").await;
    while world.find("a").await.is_some() {
        world.restart().await;
        world.step("a").await.unwrap();
    }
    assert_eq!((world.fake.holds(), world.states("a").await.last()), (0, Some(&LabState::Deleted)));
}

#[tokio::test]
async fn what_was_read_before_somebody_else_wrote_is_not_written() {
    let world = World::new().await;
    world.create("a").await;
    world.reach("a", LabState::Ready).await;
    let mut old = world.lab("a").await;
    world.fake.all_are(&exited());
    world.step("a").await.unwrap();
    old.status.message = "stale".into();
    let refused = world.labs().update_status(&old).await;
    assert!(matches!(refused, Err(roa_core::Error::Conflict { .. })), "{refused:?}");
}
