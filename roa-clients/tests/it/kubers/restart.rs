//! `roa run` ends in the middle of watches, told or killed, and comes back: no event is lost.

use std::pin::pin;

use futures_util::{StreamExt as _, TryStreamExt as _};
use kube::api::{PostParams, WatchEvent, WatchParams};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::time::timeout;

use super::kinds::{Robot, robot, robots, version};
use super::watches::next;
use crate::support::{BOUND, Backend, End, Roa};

async fn create(robots: &Api<Robot>, names: std::ops::Range<u32>) {
    for number in names {
        robots.create(&PostParams::default(), &robot(&format!("r{number}"), 2)).await.unwrap();
    }
}

/// The next names that a watcher tells of, as changes and not by a new list.
async fn told<S>(events: &mut S, count: usize) -> Vec<String>
where
    S: futures_util::Stream<Item = Result<Event<Robot>, kube::runtime::watcher::Error>> + Unpin,
{
    let mut names = Vec::new();
    while names.len() < count {
        match next(events).await {
            Event::Apply(robot) => names.push(robot.name_any()),
            other => panic!("{other:?}"),
        }
    }
    names
}

/// What a raw watch from `since` tells, up to the robot `last`.
async fn raw(client: Client, since: u64, last: &str) -> Vec<String> {
    let robots: Api<Robot> = Api::namespaced(client, super::kinds::NAMESPACE);
    let mut stream = pin!(robots.watch(&WatchParams::default(), &since.to_string()).await.unwrap());
    let mut names = Vec::new();
    while names.last().map(String::as_str) != Some(last) {
        match timeout(BOUND, stream.try_next()).await.expect("an event in time").unwrap() {
            Some(WatchEvent::Added(robot)) => names.push(robot.name_any()),
            other => panic!("{other:?}"),
        }
    }
    names
}

fn named(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("r{number}")).collect()
}

/// Two ends, told and killed, each in the middle of a watch.
async fn nothing_is_lost(backend: Backend) {
    let mut roa = Roa::run(backend);
    let robots = robots(&roa.client()).await;
    create(&robots, 0..1).await;
    let since = version(&robots.get("r0").await.unwrap().metadata);
    let mut events = pin!(watcher(robots.clone(), Config::default()).boxed());
    while !matches!(next(&mut events).await, Event::InitDone) {}
    for (end, from) in [(End::Told, 1), (End::Killed, 21)] {
        create(&robots, from..from + 5).await;
        assert_eq!(told(&mut events, 3).await, named(from..from + 3));
        roa.restart(end);
        // Those that it had not read yet, and those written before it was back.
        create(&Api::namespaced(roa.client(), super::kinds::NAMESPACE), from + 5..from + 20).await;
        assert_eq!(told(&mut events, 17).await, named(from + 3..from + 20), "{end:?}");
    }
    assert_eq!(raw(roa.client(), since, "r40").await, named(1..41));
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_a_kube_rs_watch_and_a_raw_one_lose_nothing_when_roa_restarts_on_sqlite() {
    nothing_is_lost(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_a_kube_rs_watch_and_a_raw_one_lose_nothing_when_roa_restarts_on_redis() {
    nothing_is_lost(Backend::redis()).await;
}
