//! [`Follow`]: what becomes of objects, over restarts of the server.

use std::sync::Arc;
use std::time::Duration;

use roa_core::{Clock, ClockExt as _, Monotonic};
use serde_json::Value as Json;
use tokio::time::timeout;

use super::lines::Lines;
use super::{Ask, ClientError, Http, Refusal};

/// How long one watch lasts before it is asked for anew: so long it can take at most to notice a server that went
/// without a word.
const LASTS: Duration = Duration::from_secs(240);
/// How much longer it may take to end.
const SLACK: Duration = Duration::from_secs(30);
/// How long to wait before asking again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a server may say that it does not have the version yet, before its history counts as another one.
const MAX_AHEAD: usize = 5;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    /// As the API says it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// What is seen of a watch.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A change; the object, or a table with its row.
    Change(Change, Json),
    /// The server does not answer, and is asked again until it does; told once.
    Lost(String),
    /// It answers again, and nothing was missed.
    Resumed,
    /// What happened meanwhile is not known: to be listed again.
    Expired,
}

/// Follows objects from a version on. It goes on where it was when the server comes back.
#[derive(Debug)]
pub(crate) struct Follow<'a> {
    http: &'a Http,
    clock: Arc<dyn Clock>,
    path: String,
    accept: &'static str,
    /// Up to where everything was seen.
    version: String,
    lines: Option<Lines>,
    opened: Monotonic,
    pause: Duration,
    lost: bool,
    ahead: usize,
}

impl<'a> Follow<'a> {
    pub(super) fn new(
        http: &'a Http,
        clock: Arc<dyn Clock>,
        path: String,
        accept: &'static str,
        version: &str,
    ) -> Self {
        let (version, opened) = (version.to_owned(), clock.monotonic());
        Self { http, clock, path, accept, version, lines: None, opened, pause: FIRST_PAUSE, lost: false, ahead: 0 }
    }

    /// Goes on from another version: what was listed after [`Seen::Expired`].
    pub(crate) fn restart(&mut self, version: &str) {
        version.clone_into(&mut self.version);
        self.lines = None;
    }

    /// What happens next. Waits as long as nothing does.
    ///
    /// # Errors
    /// The server refuses.
    ///
    /// # Cancel safety
    /// Safe: nothing that was read is lost.
    pub(crate) async fn next(&mut self) -> Result<Seen, ClientError> {
        loop {
            let Some(lines) = &mut self.lines else {
                if let Some(seen) = self.open().await? {
                    return Ok(seen);
                }
                continue;
            };
            let Ok(Ok(Some(line))) = timeout(LASTS + SLACK, lines.next()).await else {
                // The watch ended, or its connection did: on from where it was.
                self.end().await;
                continue;
            };
            match self.take(&line)? {
                Some(seen) => return Ok(seen),
                None if self.lines.is_none() => self.wait().await,
                None => {}
            }
        }
    }

    async fn open(&mut self) -> Result<Option<Seen>, ClientError> {
        let path = format!("{}&resourceVersion={}&timeoutSeconds={}", self.path, self.version, LASTS.as_secs());
        match self.http.stream(&Ask { accept: self.accept, ..Ask::get(path) }).await {
            Ok(lines) => {
                (self.lines, self.opened) = (Some(lines), self.clock.monotonic());
                Ok(std::mem::take(&mut self.lost).then_some(Seen::Resumed))
            }
            Err(error) => self.failed(error).await,
        }
    }

    async fn failed(&mut self, error: ClientError) -> Result<Option<Seen>, ClientError> {
        match &error {
            ClientError::Refused(refusal) if refusal.code == 410 => return Ok(Some(Seen::Expired)),
            ClientError::Refused(refusal) if refusal.code == 504 => {
                self.ahead += 1;
                if self.ahead > MAX_AHEAD {
                    self.ahead = 0;
                    return Ok(Some(Seen::Expired));
                }
            }
            error if error.is_passing() => {}
            _ => return Err(error),
        }
        self.wait().await;
        // A moment is not worth a word.
        let tell = !self.lost && self.pause > FIRST_PAUSE * 4;
        self.lost |= tell;
        Ok(tell.then(|| Seen::Lost(error.to_string())))
    }

    /// A watch that lasted is asked for anew at once; one that ended at once, after a moment.
    async fn end(&mut self) {
        self.lines = None;
        if self.clock.monotonic().saturating_since(self.opened) > LONGEST_PAUSE {
            self.pause = FIRST_PAUSE;
        } else {
            self.wait().await;
        }
    }

    async fn wait(&mut self) {
        self.clock.sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    fn take(&mut self, line: &[u8]) -> Result<Option<Seen>, ClientError> {
        let Ok(mut event) = serde_json::from_slice::<Json>(line) else {
            // Cut in the middle: it comes again.
            self.lines = None;
            return Ok(None);
        };
        let object = event["object"].take();
        let change = match event["type"].as_str() {
            Some("ADDED") => Change::Added,
            Some("MODIFIED") => Change::Modified,
            Some("DELETED") => Change::Deleted,
            Some("ERROR") => return self.ended(&object),
            _ => {
                self.note(&object);
                return Ok(None);
            }
        };
        self.note(&object);
        Ok(Some(Seen::Change(change, object)))
    }

    fn ended(&mut self, status: &Json) -> Result<Option<Seen>, ClientError> {
        self.lines = None;
        let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
        match code {
            410 => Ok(Some(Seen::Expired)),
            429 | 500.. => Ok(None),
            _ => Err(ClientError::Refused(Box::new(Refusal::read(code, status.to_string().as_bytes())))),
        }
    }

    /// Everything up to this object was seen.
    fn note(&mut self, object: &Json) {
        let row = &object["rows"][0]["object"]["metadata"]["resourceVersion"];
        let version = row.as_str().or_else(|| object["metadata"]["resourceVersion"].as_str());
        if let Some(version) = version.filter(|version| !version.is_empty()) {
            version.clone_into(&mut self.version);
        }
        (self.pause, self.ahead) = (FIRST_PAUSE, 0);
    }
}
