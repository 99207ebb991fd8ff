//! Reading a part of an object that the program tells, not the store.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use hyper::StatusCode;
use roa_core::{Cancellation, Monotonic};

use super::{Objects, Target};
use crate::http::{Answer, ApiError, Call, answer};
use crate::server::{Shared, WatchPlace};
use crate::subresource::{Content, Subresource, SubresourceError, SubresourceMedia, SubresourceRequest};
use crate::watch::Permission;

impl Objects {
    /// A part of the object that is named.
    pub(super) async fn read_subresource(
        &self,
        target: &Target,
        name: &'static str,
        call: &Call,
    ) -> Result<Answer, ApiError> {
        let subresource = target.served.subresources.iter().find(|known| known.name() == name);
        let subresource: Arc<dyn Subresource> = subresource.cloned().ok_or_else(ApiError::no_such_path)?;
        let object = self.resources.get(&target.key()?).await.map_err(|error| self.explain(error, target))?;
        let asked = SubresourceRequest::new(Arc::clone(&target.served.kind), object, call.query.clone());
        let told = subresource.read(asked).await.map_err(|error| self.explain_subresource(error, target))?;
        let content_type = match subresource.media() {
            SubresourceMedia::Text => "text/plain; charset=utf-8",
            SubresourceMedia::Json => answer::JSON,
        };
        match told.0 {
            Content::Whole(bytes) => Ok(answer::bytes(StatusCode::OK, content_type, bytes)),
            Content::Coming(pieces) => {
                let place = self.shared.take_watch(self.user())?;
                let coming = Coming::new(Arc::clone(&self.shared), place, self.permission.clone(), pieces);
                Ok(answer::lasting(content_type, coming.into_stream()))
            }
        }
    }

    fn explain_subresource(&self, error: SubresourceError, target: &Target) -> ApiError {
        let (group, plural, name) = target.subject();
        match error {
            SubresourceError::NotFound(message) => {
                ApiError::new(StatusCode::NOT_FOUND, "NotFound", message).about(group, plural, name)
            }
            SubresourceError::BadRequest(message) => ApiError::bad_request(message),
            SubresourceError::Unavailable(message) => ApiError::unavailable(message),
            SubresourceError::Store(error) => self.explain(error, target),
        }
    }
}

/// A part of an object as it comes, as long as the client may read it and the server goes on.
struct Coming {
    shared: Arc<Shared>,
    /// Held as long as it lasts.
    #[expect(dead_code, reason = "held, not used")]
    place: WatchPlace,
    permission: Permission,
    draining: Cancellation,
    checked_next: Monotonic,
    pieces: BoxStream<'static, Bytes>,
}

impl Coming {
    fn new(shared: Arc<Shared>, place: WatchPlace, permission: Permission, pieces: BoxStream<'static, Bytes>) -> Self {
        let checked_next = shared.clock.monotonic() + shared.config.bookmark_interval;
        Self { draining: shared.draining(), shared, place, permission, checked_next, pieces }
    }

    fn into_stream(self) -> impl Stream<Item = Bytes> + Send + 'static {
        stream::unfold(self, async |mut this| this.next().await.map(|piece| (piece, this)))
    }

    async fn next(&mut self) -> Option<Bytes> {
        let clock = Arc::clone(&self.shared.clock);
        loop {
            tokio::select! {
                biased;
                () = self.draining.cancelled() => return None,
                () = clock.sleep_until(self.checked_next) => {
                    self.checked_next = clock.monotonic() + self.shared.config.bookmark_interval;
                    self.permission.check().await.ok()?;
                }
                piece = self.pieces.next() => return piece,
            }
        }
    }
}
