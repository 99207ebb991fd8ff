//! [`Proof`]: how somebody showed who they are, to be looked at again while an answer lasts.

use std::fmt;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};

use super::{ApiError, Peer};
use crate::auth::{Authenticator, Credentials, User};

/// What a request showed, and who that was. A token expires and is taken back; a watch may last longer.
#[derive(Clone)]
pub(crate) struct Proof {
    /// None where nobody can be recognised.
    authenticator: Option<Arc<Authenticator>>,
    authorization: Option<HeaderValue>,
    peer: Arc<Peer>,
    user: User,
}

impl Proof {
    /// Recognises who asks.
    ///
    /// # Errors
    /// 401.
    pub(super) async fn ask(
        authenticator: Option<&Arc<Authenticator>>,
        peer: &Arc<Peer>,
        headers: &HeaderMap,
    ) -> Result<Self, ApiError> {
        let mut this = Self {
            authenticator: authenticator.cloned(),
            authorization: headers.get(AUTHORIZATION).and_then(copied),
            peer: Arc::clone(peer),
            user: User::anonymous(),
        };
        this.user = this.recognise().await?;
        Ok(this)
    }

    /// Who it is, before they speak in somebody else's name.
    pub(super) const fn user(&self) -> &User {
        &self.user
    }

    /// Whether it still shows the same user.
    ///
    /// # Errors
    /// 401.
    pub(crate) async fn check(&self) -> Result<(), ApiError> {
        let now = self.recognise().await?;
        if now == self.user { Ok(()) } else { Err(ApiError::unauthorized()) }
    }

    async fn recognise(&self) -> Result<User, ApiError> {
        let Some(authenticator) = &self.authenticator else { return Ok(User::anonymous()) };
        let certificates = &self.peer.certificates;
        let credentials = Credentials {
            authorization: self.authorization.as_ref().map(HeaderValue::as_bytes),
            certificates: (!certificates.is_empty()).then_some(certificates),
        };
        authenticator.authenticate(&credentials).await.map_err(|error| {
            tracing::info!(source = %self.peer.source, %error, "a request is refused");
            ApiError::unauthorized()
        })
    }
}

/// A copy that does not hold the whole head of its request, and is never shown.
fn copied(value: &HeaderValue) -> Option<HeaderValue> {
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    copy.set_sensitive(true);
    Some(copy)
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proof(of {})", self.user.name)
    }
}
