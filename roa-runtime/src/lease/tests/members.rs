//! Several members of a group of shards, which come and go, and whose calls take time.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::world::{Member, World, now};
use super::*;
use crate::shard::{self, SHARDS};
use crate::{Permit, ShardBy};

/// How much time passes between two moments at which all go on.
const STEP: Duration = Duration::from_millis(250);

/// All members by name, dead ones not among them.
pub(super) struct Members {
    pub(super) world: World,
    pub(super) members: BTreeMap<&'static str, Member>,
    pub(super) paused: BTreeMap<&'static str, bool>,
    /// Calls that run, and which of which member.
    pub(super) calls: Vec<(&'static str, Permit)>,
    /// Every ownership that somebody counted himself to have, by shard, and who.
    pub(super) held: BTreeMap<usize, Vec<Ownership>>,
    writes: usize,
}

impl Members {
    pub(super) fn new() -> Self {
        Self {
            world: World::new(),
            members: BTreeMap::new(),
            paused: BTreeMap::new(),
            calls: Vec::new(),
            held: BTreeMap::new(),
            writes: 0,
        }
    }

    pub(super) fn of(names: &[&'static str]) -> Self {
        let mut this = Self::new();
        names.iter().for_each(|name| this.join(name));
        this.pass(secs(60));
        this
    }

    pub(super) fn join(&mut self, name: &'static str) {
        let member = self.world.start_member(name);
        self.members.insert(name, member);
        self.paused.insert(name, false);
    }

    pub(super) fn kill(&mut self, name: &'static str) {
        self.calls.retain(|(of, _)| *of != name);
        self.members.remove(name);
    }

    /// All the shards that a member counts itself to have.
    pub(super) fn has(&self, name: &str) -> Vec<usize> {
        self.members
            .get(name)
            .map_or_else(Vec::new, |member| member.territory.held().into_iter().map(|(shard, _)| shard).collect())
    }

    pub(super) fn begin_call(&mut self, name: &'static str, shard: usize) -> bool {
        let permit = self.members.get(name).and_then(|member| member.territory.begin(&key_in(shard)));
        let begun = permit.is_some();
        self.calls.extend(permit.map(|permit| (name, permit)));
        begun
    }

    /// Passes time; those who are not paused go on, and hear of each other's changes.
    pub(super) fn pass(&mut self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            self.world.clock.advance(left.min(STEP));
            left = left.saturating_sub(STEP);
            self.step();
        }
    }

    /// Passes time until something holds; says how long that took.
    pub(super) fn pass_until(&mut self, bound: Duration, holds: impl Fn(&Self) -> bool) -> Duration {
        let begin = self.world.clock.monotonic();
        loop {
            self.step();
            let passed = self.world.clock.monotonic().saturating_since(begin);
            if holds(self) {
                return passed;
            }
            assert!(passed <= bound, "not within {bound:?}: {:?}", self.count());
            self.world.clock.advance(Duration::from_millis(50));
        }
    }

    fn step(&mut self) {
        for (name, member) in &mut self.members {
            if !self.paused.get(name).copied().unwrap_or_default() {
                member.process.step();
            }
        }
        self.check();
    }

    /// How many shards each has.
    pub(super) fn count(&self) -> BTreeMap<&'static str, usize> {
        self.members.keys().map(|name| (*name, self.has(name).len())).collect()
    }

    pub(super) fn all_owned(&self) -> bool {
        self.count().values().sum::<usize>() == SHARDS
    }

    /// Whether each has what it should have.
    pub(super) fn settled(&self) -> bool {
        let names: Vec<&str> = self.members.keys().copied().collect();
        names.iter().all(|name| self.has(name) == shard::wanted(name, &names))
    }

    /// L2, L4: at most one counts itself as the owner of a shard. L5: of all who ever did, at most one can write, and
    /// who can't moves nothing.
    pub(super) fn check(&mut self) {
        let mut owners: BTreeMap<usize, &'static str> = BTreeMap::new();
        for (name, member) in &self.members {
            for (shard, _) in member.territory.held() {
                let other = owners.insert(shard, name);
                assert_eq!(other, None, "{name} too has shard {shard}");
                let permit = member.territory.begin(&key_in(shard)).expect("it has it");
                let ownership = permit.ownership().cloned().expect("it is fenced");
                let known = self.held.entry(shard).or_default();
                if known.last() != Some(&ownership) {
                    assert!(!known.contains(&ownership), "a term came back");
                    known.push(ownership);
                }
            }
        }
        self.check_writes();
    }

    /// Of a few shards, another few each time.
    fn check_writes(&mut self) {
        let Some(member) = self.members.values().next() else { return };
        let first = self.writes;
        for shard in (0..4).map(|step| (first + step * 17) % SHARDS) {
            let mut able = 0;
            for ownership in self.held.get(&shard).into_iter().flatten().rev().take(3) {
                self.writes += 1;
                let head = now(self.world.store.state()).unwrap().head;
                match member.process.write(ownership, &format!("thing-{}", self.writes)) {
                    Ok(_) => able += 1,
                    Err(error) => {
                        assert!(
                            matches!(error, CommitError::GuardFailed { .. } | CommitError::Fenced { .. }),
                            "{error}"
                        );
                        assert_eq!(now(self.world.store.state()).unwrap().head, head, "a refused write moved the head");
                    }
                }
            }
            assert!(able <= 1, "{able} owners of shard {shard} can write");
        }
        self.writes += 1;
    }
}

/// A key of a shard.
pub(super) fn key_in(shard: usize) -> roa_core::Key {
    static KEYS: OnceLock<Vec<roa_core::Key>> = OnceLock::new();
    let key = |number: usize| roa_core::Key::new("g", "things", "n", &number.to_string()).unwrap();
    let find = |shard: usize| (0..).map(key).find(|key| ShardBy::Object.shard(key) == shard).unwrap();
    KEYS.get_or_init(|| (0..SHARDS).map(find).collect())[shard].clone()
}

/// How long a shard may be without an owner, whatever happened to the one it had.
pub(super) fn bound(config: &LeaseConfig) -> Duration {
    config.duration + 2 * config.retry_period + secs(1)
}
