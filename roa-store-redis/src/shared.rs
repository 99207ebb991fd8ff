//! [`Shared`]: what the store, its tasks and its change feeds have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::aio::ConnectionLike;
use redis::{Cmd, Value};
use roa_core::{Clock, Epoch, Health, Random, Revision, StoreId, StoreState, TxnId};

use crate::RedisConfig;
use crate::address::Address;
use crate::error::RedisStoreError;
use crate::feed::{Feed, is_newer};
use crate::keys::Keys;
use crate::link::Link;
use crate::meta::Meta;
use crate::scripts::{Script, Scripts};

/// How often a read is sent again after its connection failed.
const ATTEMPTS: usize = 3;

/// What the store, its tasks and its change feeds have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: StoreId,
    pub(crate) config: RedisConfig,
    pub(crate) address: Address,
    pub(crate) keys: Keys,
    pub(crate) scripts: Scripts,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) feed: Feed,
    pub(crate) link: Link,
    /// Where commits wait for replicas: nothing else is to wait behind them. None, if they do not wait.
    pub(crate) waiting: Option<Link>,
    pub(crate) trouble: Trouble,
    mark: Mutex<Mark>,
    /// The server's replication id when the history was last found to be whole.
    replid: Mutex<String>,
    /// How many breaks of the history this process has found.
    pub(crate) breaks: AtomicU64,
}

/// The newest commit that this process knows of. A server that lacks it has lost what it acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) epoch: Epoch,
    pub(crate) revision: Revision,
    /// Its transaction; none after a jump.
    pub(crate) txn: TxnId,
}

impl Mark {
    pub(crate) const fn of(meta: &Meta) -> Self {
        Self { epoch: meta.epoch, revision: meta.head, txn: meta.head_txn }
    }
}

/// What a store is made of, when it is opened.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: RedisConfig,
    pub(crate) address: Address,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) scripts: Scripts,
    pub(crate) keys: Keys,
}

impl Shared {
    pub(crate) fn new(parts: Parts, meta: &Meta, (link, waiting): (Link, Option<Link>)) -> Self {
        let Parts { config, address, clock, random, scripts, keys } = parts;
        let feed = Feed::new(meta.state(), config.recent_max_bytes);
        let (mark, trouble, breaks) = (Mutex::new(Mark::of(meta)), Trouble::default(), AtomicU64::new(0));
        let replid = Mutex::new(meta.replid.clone());
        let id = meta.store;
        Self { id, config, address, keys, scripts, clock, random, feed, link, waiting, trouble, mark, replid, breaks }
    }

    /// Where commits go.
    pub(crate) fn commit_link(&self) -> &Link {
        self.waiting.as_ref().unwrap_or(&self.link)
    }

    /// All connections that requests go over.
    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        std::iter::once(&self.link).chain(&self.waiting)
    }

    pub(crate) fn mark(&self) -> Mark {
        *self.lock_mark()
    }

    /// Notes a commit of this epoch that is known to be there.
    pub(crate) fn advance(&self, to: Mark) {
        let mut mark = self.lock_mark();
        if to.epoch == mark.epoch && to.revision > mark.revision {
            *mark = to;
        }
    }

    /// Takes over where a server's history stands, which was found to be whole.
    pub(crate) fn adopt(&self, meta: &Meta) {
        let mut mark = self.lock_mark();
        let known = StoreState { head: mark.revision, floor: mark.revision, epoch: mark.epoch };
        if is_newer(meta.state(), known) || meta.epoch == mark.epoch && meta.head > mark.revision {
            *mark = Mark::of(meta);
        }
        drop(mark);
        self.replid.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&meta.replid);
        self.feed.enter(meta.state());
    }

    /// The replication id that each commit compares, if it is to.
    pub(crate) fn strict_replid(&self) -> Option<String> {
        let replid = || self.replid.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.config.strict.then(replid)
    }

    /// Whether an answer can be of the history that this process knew when it asked. Else the connection is given up:
    /// the next begins with a look at the history.
    pub(crate) fn look_back(&self, asked_at: Mark, state: StoreState) -> Result<(), RedisStoreError> {
        let known = StoreState { head: asked_at.revision, floor: asked_at.revision, epoch: asked_at.epoch };
        if is_newer(state, known) || state.epoch == asked_at.epoch && state.head >= asked_at.revision {
            return Ok(());
        }
        let (epoch, revision) = (asked_at.epoch, asked_at.revision);
        let reason =
            format!("it is at {} of epoch {}, this process has seen {revision} of {epoch}", state.head, state.epoch);
        self.links().for_each(|link| link.distrust(&reason));
        Err(RedisStoreError::Broken(reason))
    }

    pub(crate) fn count_break(&self) {
        self.breaks.fetch_add(1, Ordering::Relaxed);
    }

    /// No code under the lock can panic.
    fn lock_mark(&self) -> MutexGuard<'_, Mark> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks what changes nothing. Asks again if the connection fails.
    pub(crate) async fn ask(
        &self,
        script: &Script,
        keys: &[&str],
        fill: impl Fn(&mut Cmd),
    ) -> Result<Value, RedisStoreError> {
        let mut attempt = 1;
        loop {
            match self.call(script, keys, &fill).await {
                Err(error) if attempt < ATTEMPTS && (error.disconnects() || error.is_elsewhere()) => attempt += 1,
                answer => return answer,
            }
        }
    }

    /// Calls a script once.
    pub(crate) async fn call(
        &self,
        script: &Script,
        keys: &[&str],
        fill: impl Fn(&mut Cmd),
    ) -> Result<Value, RedisStoreError> {
        let mut line = self.link.line().await?;
        let answer = invoke(&mut line.connection, script, keys, fill).await;
        if let Err(error) = &answer {
            self.link.note(&line, error);
        }
        answer
    }

    /// Sends commands in one go. Asks again if the connection fails.
    pub(crate) async fn ask_all(&self, commands: &redis::Pipeline) -> Result<Vec<Value>, RedisStoreError> {
        let mut attempt = 1;
        loop {
            let mut line = self.link.line().await?;
            let answers = line.connection.req_packed_commands(commands, 0, commands.len()).await;
            let answers = answers.map_err(RedisStoreError::from).and_then(|answers| {
                Ok(answers.into_iter().map(Value::extract_error).collect::<Result<Vec<_>, _>>()?)
            });
            match answers {
                Err(error) => {
                    self.link.note(&line, &error);
                    if attempt >= ATTEMPTS || !(error.disconnects() || error.is_elsewhere()) {
                        return Err(error);
                    }
                    attempt += 1;
                }
                answers => return answers,
            }
        }
    }
}

/// Calls a script on a connection: by its name, and by its text where the server does not know it.
pub(crate) async fn invoke(
    connection: &mut impl ConnectionLike,
    script: &Script,
    keys: &[&str],
    fill: impl Fn(&mut Cmd),
) -> Result<Value, RedisStoreError> {
    let mut call = script.by_name(keys);
    fill(&mut call);
    match send(connection, &call).await {
        Err(error) if error.is_unknown_script() => {
            let mut call = script.by_text(keys);
            fill(&mut call);
            send(connection, &call).await
        }
        answer => answer,
    }
}

/// Sends one command.
pub(crate) async fn send(connection: &mut impl ConnectionLike, command: &Cmd) -> Result<Value, RedisStoreError> {
    Ok(connection.req_packed_command(command).await?.extract_error()?)
}

/// What keeps the store from its work, by what would be wrong.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Mutex<[Option<String>; 4]>);

/// What can be wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Concern {
    /// There is no connection for requests.
    Connecting = 0,
    /// Another store, or none, is behind the address.
    Lineage = 1,
    /// Changes are seen late.
    Following = 2,
    /// The log is not held within its bounds, or memory runs short.
    Growing = 3,
}

impl Trouble {
    /// Notes what is wrong, or that nothing is any more. Logs each change.
    pub(crate) fn note(&self, concern: Concern, now: Option<String>) {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut troubles[concern as usize];
        match (&*known, &now) {
            (None, Some(reason)) => tracing::warn!(?concern, %reason, "the Redis store is in trouble"),
            (Some(_), None) => tracing::info!(?concern, "the Redis store recovered"),
            _ => {}
        }
        *known = now;
    }

    pub(crate) fn health(&self) -> Health {
        let troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [connecting, lineage, following, growing] = &*troubles;
        match (lineage.as_ref().or(connecting.as_ref()), following.as_ref().or(growing.as_ref())) {
            (Some(reason), _) => Health::Failing(reason.clone()),
            (None, Some(reason)) => Health::Degraded(reason.clone()),
            (None, None) => Health::Healthy,
        }
    }
}
