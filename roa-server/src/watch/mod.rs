//! Watching over HTTP: a stream of events, one JSON object a line. The bytes of an event are made once and shared by all
//! who watch it in the same form.

mod frames;
mod permission;
mod start;
mod stream;

use std::sync::Arc;

pub(crate) use frames::Frames;
pub(crate) use permission::Permission;

use crate::http::{Answer, ApiError, Query, answer};
use crate::objects::{Rendering, Target};
use crate::server::Shared;

/// Begins a watch.
///
/// # Errors
/// What the client is told instead. Once the parameters are understood, errors are told in the stream.
pub(crate) async fn begin(
    shared: &Arc<Shared>,
    target: &Target,
    rendering: Rendering,
    query: &Query,
    permission: Permission,
) -> Result<Answer, ApiError> {
    let asked = start::Asked::read(target, query)?;
    let place = shared.take_watch(permission.user())?;
    let content_type = rendering.content_type();
    let lines = stream::lines(Arc::clone(shared), place, rendering, asked, permission).await;
    Ok(answer::varying(answer::lasting(content_type, lines)))
}
