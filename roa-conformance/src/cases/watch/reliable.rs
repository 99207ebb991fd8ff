//! Nothing is left out, however much there is.

use std::collections::BTreeMap;

use roa_core::{ChangeKind, Key, KeyPrefix, Revision, Start};
use roa_runtime::{HubConfig, Selection};
use tokio::task::JoinSet;

use crate::client::{Client, key_in, text, things, things_in};
use crate::failure::{Outcome, ensure};
use crate::feed::writes;
use crate::harness::{Harness, all, later};

/// How many writers there are; each has a namespace of its own.
const WRITERS: usize = 4;

/// What each revision wrote: keys and values, `None` for one that was removed.
type Written = BTreeMap<Revision, Vec<(Key, Option<String>)>>;

pub(super) async fn reliable_vs_log(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let begin = client.head().await?;
    let commits = harness.times(100_000, 600) / WRITERS;
    // Nobody falls out of a ring that holds everything: what is left out here is lost.
    let bounds = HubConfig { max_batches: commits * WRITERS, max_bytes: usize::MAX, ..HubConfig::default() };
    let hub = harness.hub_with(&client, bounds).await?;
    let last = later(begin, commits * WRITERS)?;
    let covers = [Cover::Prefix(things()), Cover::Prefix(things_in("w1")), Cover::Key(key_in("w2", "k3"))];
    let mut feeds = JoinSet::new();
    let mut feed = client.feed(begin).await?;
    feeds.spawn(async move { feed.dense_until(last).await });
    let mut watches = JoinSet::new();
    for cover in covers {
        let mut watch = hub.watch(cover.selection(), Start::After(begin)).await?;
        watches.spawn(async move { Ok((cover, watch.events_until(last).await?)) });
    }
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(client.clone(), format!("w{writer}"), commits));
    }
    let written: Written = all(writers).await?.into_iter().flatten().collect();
    let log = all(feeds).await?.into_iter().flatten();
    ensure_same("the log", log.map(|batch| (batch.revision, writes(&batch))), written.clone().into_iter())?;
    for (cover, events) in all(watches).await? {
        let seen = events.iter().map(|event| {
            let value = String::from_utf8_lossy(&event.entry.value.bytes).into_owned();
            (event.revision, event.key().clone(), (event.change != ChangeKind::Deleted).then_some(value))
        });
        let each = written.iter().flat_map(|(at, writes)| writes.iter().map(move |write| (*at, write)));
        let expected =
            each.filter(|(_, (key, _))| cover.contains(key)).map(|(at, (key, value))| (at, key.clone(), value.clone()));
        ensure_same("a watch", seen, expected)?;
    }
    Ok(())
}

/// Which keys a watch is to see.
#[derive(Debug, Clone)]
enum Cover {
    Prefix(KeyPrefix),
    Key(Key),
}

impl Cover {
    fn selection(&self) -> Selection {
        match self {
            Self::Prefix(prefix) => Selection::prefix(prefix.clone()),
            Self::Key(key) => Selection::key(key.clone()),
        }
    }

    fn contains(&self, key: &Key) -> bool {
        match self {
            Self::Prefix(prefix) => prefix.contains(key),
            Self::Key(only) => only == key,
        }
    }
}

/// Names the first difference, not both wholes.
fn ensure_same<T: std::fmt::Debug + PartialEq>(
    what: &str,
    mut seen: impl Iterator<Item = T>,
    expected: impl Iterator<Item = T>,
) -> Outcome {
    for expected in expected {
        ensure::equal(&format!("what {what} gives next"), seen.next(), Some(expected))?;
    }
    ensure::equal(&format!("what {what} gives at last"), seen.next(), None)
}

/// Creates, updates and deletes eight keys of one namespace, sometimes two at once.
async fn write(client: Client, namespace: String, commits: usize) -> Outcome<Written> {
    let mut current: BTreeMap<Key, Revision> = BTreeMap::new();
    let mut written = Written::new();
    for number in 0..commits {
        let mut chosen = vec![key_in(&namespace, &format!("k{}", number % 8))];
        if number % 10 == 0 {
            chosen.push(key_in(&namespace, &format!("k{}", (number + 3) % 8)));
        }
        let mut txn = client.txn();
        let mut writes = Vec::new();
        for key in chosen {
            let deletes = number % 5 == 4;
            let value = Some(number.to_string()).filter(|_| !deletes || !current.contains_key(&key));
            txn = match (current.get(&key), &value) {
                (None, _) => txn.create(key.clone(), text(number)),
                (Some(at), Some(_)) => txn.update(key.clone(), text(number), *at),
                (Some(at), None) => txn.delete(key.clone(), *at),
            };
            writes.push((key, value));
        }
        let revision = client.commit(txn).await?;
        for (key, value) in &writes {
            match value {
                Some(_) => current.insert(key.clone(), revision),
                None => current.remove(key),
            };
        }
        written.insert(revision, writes);
    }
    Ok(written)
}
