//! Several `roa run` share one store while members are added, told to stop, killed and paused at random, and labs come
//! and go. `cargo xtask chaos` builds and runs it.
//!
//! After each disturbance the lease or all shards must have owners again within the bound; in the end every lab must be ready. Whoever
//! owns what is checked on the change feed itself: an ownership goes from one process to another only through its
//! release, or after the heartbeat of the old owner was removed.

#![expect(clippy::print_stdout, reason = "a program of the command line speaks there")]

#[path = "../../tests/it/onlooker.rs"]
#[expect(clippy::unwrap_used, reason = "shared with the tests, which look at more")]
mod onlooker;

mod calls;
mod feed;
mod idle;
mod member;
mod options;
mod shared;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use roa_core::{Clock, RandomExt, SeededRandom, Timestamp};
use roa_runtime::SystemClock;

use calls::Calls;
use feed::Feed;
use member::Member;
use onlooker::Onlooker;
use options::Options;
use shared::SharedStore;

/// A lease, two retry periods and a second: what a hand-over may take.
const BOUND: Duration = Duration::from_millis(4_500);
/// How long a lab takes to be provisioned.
const PROVISIONING: Duration = Duration::from_millis(500);
/// How long all labs may take to be ready when all disturbances are over.
const SETTLE: Duration = Duration::from_secs(120);
/// How long a pause is at most: beyond a lease, or not.
const LONGEST_PAUSE_MS: u64 = 6_000;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            println!("error: {error}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    println!("chaos: {options}");
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED: {error:#}\nagain with: {options}");
            ExitCode::FAILURE
        }
    }
}

/// By the clock of the machine, as the members' writes are.
fn now() -> Timestamp {
    SystemClock::new().now()
}

/// The whole, and what it came to.
struct Chaos<'a> {
    options: &'a Options,
    random: SeededRandom,
    directory: tempfile::TempDir,
    shared: SharedStore,
    onlooker: Onlooker,
    members: BTreeMap<usize, Member>,
    begun: usize,
    labs: usize,
    hand_overs: BTreeMap<&'static str, Vec<Duration>>,
    counts: BTreeMap<&'static str, usize>,
}

fn run(options: &Options) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("failed to make a directory")?;
    let shared = SharedStore::begin(options.backend, directory.path());
    let first = Member::start(options, &shared, directory.path(), 0)?;
    first.await_ready()?;
    let onlooker = Onlooker::open(&shared.place());
    onlooker.create_template(PROVISIONING);
    let feed = Feed::begin(&onlooker, options.mode)?;
    let mut chaos = Chaos {
        options,
        random: SeededRandom::new(options.seed),
        directory,
        shared,
        onlooker,
        members: BTreeMap::from([(0, first)]),
        begun: 1,
        labs: 0,
        hand_overs: BTreeMap::new(),
        counts: BTreeMap::new(),
    };
    let outcome = chaos.go(feed);
    if outcome.is_err() {
        chaos.keep_logs();
    }
    outcome
}

impl Chaos<'_> {
    fn go(&mut self, mut feed: Feed) -> anyhow::Result<()> {
        while self.members.len() < self.options.members {
            self.add()?;
        }
        self.divided("begun")?;
        feed.check(&self.onlooker)?;
        let end = Instant::now() + self.options.time;
        while Instant::now() < end {
            self.create_labs((self.options.labs / 20).max(1));
            self.disturb(&mut feed)?;
            feed.check(&self.onlooker)?;
        }
        self.create_labs(self.options.labs);
        let settled = self.settle()?;
        feed.check(&self.onlooker)?;
        // A lab is written when it begins and when it ends; in between its provisioner takes its time.
        feed.check_idle(self.bound() + PROVISIONING)?;
        let calls = Calls::check(self.directory.path())?;
        self.report(settled, &feed);
        println!("{calls}");
        Ok(())
    }

    /// So many of the labs that are still to come, at most.
    fn create_labs(&mut self, count: usize) {
        let first = self.labs;
        self.labs = self.options.labs.min(first + count);
        self.onlooker.create_labs((first..self.labs).map(|number| format!("lab-{number:05}")));
    }

    fn disturb(&mut self, feed: &mut Feed) -> anyhow::Result<()> {
        let (few, many) = (self.members.len() <= 1, self.members.len() >= self.options.members + 2);
        let what = match self.random.below(5) {
            0 if !many => "added",
            1 if !few => "told to stop",
            2 if !few => "killed",
            _ if few => "added",
            _ => "paused",
        };
        *self.counts.entry(what).or_default() += 1;
        match what {
            "added" => self.add()?,
            "told to stop" => self.remove()?.stop()?,
            "killed" => {
                let member = self.remove()?;
                feed.disturbed(&member.address(), now())?;
                member.kill()?;
            }
            _ => {
                self.pause(feed)?;
                return self.divided("resumed");
            }
        }
        self.divided(what)
    }

    fn add(&mut self) -> anyhow::Result<()> {
        let member = Member::start(self.options, &self.shared, self.directory.path(), self.begun)?;
        member.await_ready()?;
        self.members.insert(self.begun, member);
        self.begun += 1;
        Ok(())
    }

    fn any(&self) -> usize {
        let number = usize::try_from(self.random.below(self.members.len() as u64)).unwrap_or_default();
        self.members.keys().copied().nth(number).unwrap_or_default()
    }

    fn remove(&mut self) -> anyhow::Result<Member> {
        let number = self.any();
        self.members.remove(&number).context("there is no member")
    }

    /// Others take over meanwhile, if it is long enough; afterwards it finds out by itself what it has lost.
    fn pause(&mut self, feed: &mut Feed) -> anyhow::Result<()> {
        let (number, time) = (self.any(), Duration::from_millis(self.random.below(LONGEST_PAUSE_MS)));
        let member = self.members.remove(&number).context("there is no member")?;
        feed.disturbed(&member.address(), now())?;
        member.pause(&self.onlooker)?;
        let end = Instant::now() + time;
        let replaced = if time > BOUND && !self.members.is_empty() { self.divided("paused") } else { Ok(()) };
        while Instant::now() < end {
            std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
        }
        member.resume()?;
        self.members.insert(number, member);
        replaced
    }

    /// A lease, two retry periods and a second, and what a busy machine may add: what a hand-over may take.
    fn bound(&self) -> Duration {
        BOUND + self.options.slack
    }

    /// Waits until those that are there own all that there is to own, each of it once.
    fn divided(&mut self, after: &'static str) -> anyhow::Result<()> {
        let (begun, there) = (Instant::now(), self.options.mode.ownerships());
        loop {
            let counts: Vec<usize> = self.members.values().map(Member::owned).collect();
            if counts.iter().sum::<usize>() == there {
                self.hand_overs.entry(after).or_default().push(begun.elapsed());
                println!("{after:>14}: {counts:?} after {:.1?}", begun.elapsed());
                return Ok(());
            }
            let (took, all) = (begun.elapsed(), self.bound());
            ensure!(took < all, "after one was {after} the members own {counts:?}, expected {there} within {all:?}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn settle(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        loop {
            let ready = self.onlooker.count_ready();
            if ready == self.labs {
                return Ok(begun.elapsed());
            }
            ensure!(
                begun.elapsed() < SETTLE,
                "{ready} of {} labs are ready, expected all within {SETTLE:?}",
                self.labs
            );
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    fn report(&mut self, settled: Duration, feed: &Feed) {
        let nodes = self.onlooker.nodes().len();
        println!("{} labs ready {settled:.1?} after the last disturbance, placed by {nodes} processes", self.labs);
        println!("disturbances: {:?}", self.counts);
        for (after, times) in &mut self.hand_overs {
            times.sort_unstable();
            let at = |part: usize| times.get(((times.len() * part).div_ceil(100)).saturating_sub(1)).copied();
            let [half, most] = [at(50), at(100)].map(Option::unwrap_or_default);
            println!("{after:>14}: all had owners again after {half:.1?} (p50), {most:.1?} (most of {})", times.len());
        }
        println!("{feed}");
    }

    fn keep_logs(&mut self) {
        let fresh = tempfile::tempdir();
        if let Ok(fresh) = fresh {
            let kept = std::mem::replace(&mut self.directory, fresh).keep();
            println!("logs and store are kept in {}", kept.display());
        }
    }
}
