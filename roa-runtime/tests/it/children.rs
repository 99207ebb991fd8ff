//! Parts of an object in slots: a duplicate can't commit, nor a part of what is gone.

use std::sync::Arc;

use futures_util::future::join_all;
use roa_core::lifecycle::DeleteOptions;
use roa_core::{Api, Error, ListOptions, Object, UnitOfWork};

use crate::support::{Part, Plan, Thing, World};

fn parts(world: &World) -> Api<Object<Part>> {
    world.resources.api::<Part>().unwrap()
}

async fn count(world: &World) -> usize {
    parts(world).list(&ListOptions::everywhere()).await.unwrap().0.len()
}

/// Lesson 7: whoever looks at a cache that is old makes a second one, elsewhere.
#[tokio::test]
async fn lesson_7_many_who_do_not_know_of_each_other_make_one_part_in_a_slot() {
    let world = World::new().await;
    let owner = world.create("a", 1).await;
    let api = parts(&world);
    let tries = (0..20).map(|weight| {
        let (api, part) = (&api, Object::child_of(&owner, "wheel", Part { weight }));
        async move { api.create_child(&part).await.unwrap() }
    });
    let made = join_all(tries).await;
    assert!(made.iter().all(|part| part == &made[0]), "all are given the one that there is");
    assert_eq!(count(&world).await, 1);
    let other = api.create_child(&Object::child_of(&owner, "door", Part { weight: 1 })).await.unwrap();
    assert_eq!((count(&world).await, other.metadata.controller().unwrap().name.as_str()), (2, "a"));
}

/// Lesson 17: the owner that somebody still sees in a cache may be gone.
#[tokio::test]
async fn lesson_17_no_part_is_made_of_an_owner_that_is_gone() {
    let world = World::new().await;
    let owner = world.create("a", 1).await;
    let part = Object::child_of(&owner, "wheel", Part { weight: 1 });
    world.delete("a").await;
    let gone = parts(&world).create_child(&part).await.unwrap_err();
    assert!(matches!(&gone, Error::NotFound { key } if key.resource() == "things"), "{gone}");
    let another = world.create("a", 1).await;
    let not_its = parts(&world).create_child(&part).await.unwrap_err();
    assert!(matches!(not_its, Error::NotFound { .. }), "the same name, and yet another owner: {not_its}");
    assert_eq!(count(&world).await, 0);
    let its = Object::child_of(&another, "wheel", Part { weight: 1 });
    assert_ne!(its.metadata.name, part.metadata.name);
    parts(&world).create_child(&its).await.unwrap();
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_not_taken_for_a_part() {
    let world = World::new().await;
    let owner = world.create("a", 1).await;
    let part = Object::child_of(&owner, "wheel", Part { weight: 1 });
    parts(&world).create(&Object::new("test", part.metadata.name.clone(), Part { weight: 9 })).await.unwrap();
    let taken = parts(&world).create_child(&part).await.unwrap_err();
    assert!(matches!(taken, Error::AlreadyExists { .. }), "{taken}");
    let ownerless = parts(&world).create_child(&Object::new("test", "loose", Part { weight: 1 })).await.unwrap_err();
    assert!(ownerless.to_string().contains("names no owner"), "{ownerless}");
}

#[tokio::test]
async fn names_of_parts_are_names_whatever_the_owner_is_called() {
    let world = World::new().await;
    let name = format!("{}.x", "a".repeat(251));
    let owner = world.create(&name, 1).await;
    let part = parts(&world).create_child(&Object::child_of(&owner, "wheel-1", Part { weight: 1 })).await.unwrap();
    assert!(part.metadata.name.len() <= 253 && part.metadata.name.contains("-wheel-1-"), "{}", part.metadata.name);
    let plans = world.resources.api::<Plan>().unwrap();
    let plan = plans.create(&Object::new("", "p", Plan { steps: 1 })).await.unwrap();
    let step = Object::<Plan>::child_of(&plan, "0", Plan { steps: 0 });
    assert_eq!(plans.create_child(&step).await.unwrap().metadata.namespace, "", "of cluster scope as its owner is");
}

#[tokio::test]
async fn in_a_unit_of_work_the_owner_must_be_there_until_the_end() {
    let world = World::new().await;
    let owner = world.create("a", 1).await;
    let part = Object::child_of(&owner, "wheel", Part { weight: 1 });
    let unit = Arc::new(UnitOfWork::new());
    let within = world.resources.clone().in_unit(unit.clone());
    within.api::<Part>().unwrap().create_child(&part).await.unwrap();
    world.resources.api::<Thing>().unwrap().delete("test", "a", &DeleteOptions::default()).await.unwrap();
    let refused = unit.commit(&world.resources).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict { .. }), "{refused}");
    assert_eq!(count(&world).await, 0);
}
