//! The lines of one watch.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use roa_core::{Cancellation, Error, Monotonic, RandomExt, Revision, Start, TailEnd};
use roa_runtime::{EventSlice, HubItem, HubWatch};

use super::Permission;
use super::frames;
use super::start::{Asked, Begin};
use crate::http::{ApiError, Form};
use crate::objects::Rendering;
use crate::server::{Shared, WatchPlace};

/// Bytes that are handed on at a time.
const PIECE: usize = 64 << 10;
/// How long a watch waits for a revision that this process has not seen yet.
const CATCH_UP: Duration = Duration::from_secs(3);
/// How long before its end a watch says how far it is.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// The lines of a watch that was asked for. It ends at its time, when the server stops, and after an error.
pub(super) async fn lines(
    shared: Arc<Shared>,
    place: WatchPlace,
    rendering: Rendering,
    asked: Asked,
    permission: Permission,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let begun = open(&shared, &asked).await;
    let watch = match begun {
        Ok(watch) => watch,
        Err(error) => {
            let line = error_line(&ApiError::of(error, &rendering.served.kind.kind));
            return stream::once(async { line }).boxed();
        }
    };
    let lines = Lines::new(shared, place, rendering, &asked, watch, permission);
    stream::unfold(lines, async |mut lines| lines.next().await.map(|piece| (piece, lines))).boxed()
}

async fn open(shared: &Shared, asked: &Asked) -> Result<HubWatch, Error> {
    let start = match asked.begin {
        Begin::Now => Start::Now,
        Begin::After(revision) => Start::After(revision),
        Begin::Snapshot { not_older_than, .. } => {
            if let Some(revision) = not_older_than {
                let deadline = shared.clock.monotonic() + CATCH_UP;
                shared.hub.wait_for(revision, deadline).await?;
            }
            Start::Snapshot
        }
    };
    shared.hub.watch(asked.selection.clone(), start).await
}

struct Lines {
    shared: Arc<Shared>,
    /// Held as long as the watch lasts.
    #[expect(dead_code, reason = "held, not used")]
    place: WatchPlace,
    rendering: Rendering,
    watch: HubWatch,
    bookmarks: bool,
    announced: bool,
    in_snapshot: bool,
    /// Up to where everything was delivered.
    told: Option<Revision>,
    /// The revision of the newest bookmark.
    bookmarked: Option<Revision>,
    deadline: Monotonic,
    bookmark_due: Monotonic,
    draining: Cancellation,
    permission: Permission,
    ended: bool,
}

impl Lines {
    fn new(
        shared: Arc<Shared>,
        place: WatchPlace,
        rendering: Rendering,
        asked: &Asked,
        watch: HubWatch,
        permission: Permission,
    ) -> Self {
        let now = shared.clock.monotonic();
        let config = &shared.config;
        let lasts = asked.timeout.unwrap_or_else(|| {
            // Spread, so that not all watches of a busy moment begin anew in another.
            let spread = shared.random.below(config.watch_timeout.as_secs().max(1));
            config.watch_timeout + Duration::from_secs(spread)
        });
        let deadline = now + lasts;
        let bookmark_due = (now + config.bookmark_interval).min(now + lasts.saturating_sub(LAST_BOOKMARK));
        let announced = matches!(asked.begin, Begin::Snapshot { announced: true, .. });
        let in_snapshot = matches!(asked.begin, Begin::Snapshot { .. });
        let draining = shared.draining();
        let (bookmarks, told, bookmarked, ended) = (asked.bookmarks, None, None, false);
        Self {
            shared,
            place,
            rendering,
            watch,
            bookmarks,
            announced,
            in_snapshot,
            told,
            bookmarked,
            deadline,
            bookmark_due,
            draining,
            permission,
            ended,
        }
    }

    /// The next piece; nothing at the end.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.ended {
            let clock = Arc::clone(&self.shared.clock);
            let wake = self.deadline.min(self.bookmark_due);
            let now = clock.monotonic();
            let piece = tokio::select! {
                biased;
                () = self.draining.cancelled() => return None,
                // Before events: of a watch that is always behind, the time comes too.
                () = std::future::ready(()), if now >= wake => self.on_time(now).await?,
                item = self.watch.next() => self.take(item),
                () = clock.sleep_until(wake) => self.on_time(clock.monotonic()).await?,
            };
            if !piece.is_empty() {
                return Some(piece);
            }
        }
        None
    }

    /// Nothing at the watch's end; else a bookmark, or nothing to send.
    async fn on_time(&mut self, now: Monotonic) -> Option<Bytes> {
        if now >= self.deadline {
            return None;
        }
        self.bookmark_due = (now + self.shared.config.bookmark_interval).min(self.deadline);
        if let Err(refused) = self.permission.check().await {
            self.ended = true;
            return Some(error_line(&refused));
        }
        Some(self.bookmark().unwrap_or_default())
    }

    fn bookmark(&mut self) -> Option<Bytes> {
        let told = self.told.filter(|_| self.bookmarks && !self.in_snapshot)?;
        if self.bookmarked == Some(told) {
            return None;
        }
        self.bookmarked = Some(told);
        Some(frames::line("BOOKMARK", self.rendering.bookmark(told, false).to_string().as_bytes()))
    }

    fn take(&mut self, item: Option<Result<HubItem, TailEnd>>) -> Bytes {
        match item {
            Some(Ok(HubItem::Events(slice))) => self.events(&slice),
            Some(Ok(HubItem::Synced(position))) => {
                self.in_snapshot = false;
                self.told = Some(position.revision);
                if !(self.announced && self.bookmarks) {
                    return Bytes::new();
                }
                let bookmark = self.rendering.bookmark(position.revision, true);
                frames::line("BOOKMARK", bookmark.to_string().as_bytes())
            }
            Some(Ok(HubItem::Progress(position))) => {
                self.told = Some(position.revision);
                Bytes::new()
            }
            Some(Ok(_)) => Bytes::new(),
            Some(Err(end)) => {
                self.ended = true;
                ended_line(end, &self.rendering.served.kind.kind)
            }
            None => {
                self.ended = true;
                Bytes::new()
            }
        }
    }

    fn events(&mut self, slice: &EventSlice) -> Bytes {
        let now = self.shared.now();
        // Ages in a table are as of now: they are not kept for those who look later.
        let anew = self.in_snapshot && matches!(self.rendering.form, Form::Table(_));
        let mut lines = slice.events().filter_map(|event| {
            let revision = if self.in_snapshot { event.entry.revision } else { event.revision };
            let made = if anew {
                frames::encode(&self.rendering, event.change, event.entry, revision, now)
            } else {
                self.shared.frames.line(&self.rendering, event.change, event.entry, revision, now)
            };
            made.inspect_err(|error| tracing::error!(%error, "an object is left out of a watch")).ok()
        });
        let Some(first) = lines.next() else { return Bytes::new() };
        let bytes = match lines.next() {
            // The shared bytes themselves: nothing is copied.
            None => first,
            Some(second) => {
                let mut all = BytesMut::with_capacity(PIECE.min(first.len() + second.len()));
                [first, second].into_iter().chain(lines).for_each(|line| all.extend_from_slice(&line));
                all.freeze()
            }
        };
        if !self.in_snapshot {
            self.told = Some(slice.position().revision);
        }
        bytes
    }
}

/// What is told of the end of a watch: with 410 clients list again, with 5xx they come back.
fn ended_line(end: TailEnd, kind: &str) -> Bytes {
    let error = match end {
        TailEnd::Expired { floor, head } => ApiError::of(Error::Expired { floor, head }, kind),
        TailEnd::Failed(error) => ApiError::of((*error).clone(), kind),
        TailEnd::Lagged => ApiError::unavailable("the watch fell behind: resume it where it ended"),
        // The server is going: the stream just ends, and the client resumes it elsewhere.
        _ => return Bytes::new(),
    };
    error_line(&error)
}

fn error_line(error: &ApiError) -> Bytes {
    frames::line("ERROR", error.to_json().to_string().as_bytes())
}
