//! Who asks, and what they may do.
//!
//! # Layout
//! - Who asks: [`User`], [`Authenticator`], [`Credentials`]; static tokens ([`NewToken`]), client certificates, OIDC
//! - What is asked for: [`Attributes`], [`Target`], [`ResourceTarget`], [`resource_verb`]
//! - Whether it may be done: [`Authorizer`], [`Decision`], [`AllowAll`]; by roles [`Rbac`], [`Rule`], [`rbac_kinds`], [`default_roles`]
//! - In somebody else's name: [`Impersonation`]; questions about oneself: [`can_i`], [`self_access_review`] and its like
//! - What is answered: [`unauthorized`], [`Forbidden`]
//! - Where the API may be open: [`ListenPolicy`], [`is_foreign_page`]
//! - Configuration: [`AuthConfig`], [`Authorization`]

mod attributes;
mod authenticator;
mod authorizer;
mod browser;
mod certificate;
mod config;
mod impersonation;
mod listen;
mod metrics;
#[cfg(feature = "oidc")]
mod oidc;
mod rbac;
mod refusal;
mod reviews;
mod tokens;
mod user;

pub use attributes::{Attributes, ResourceTarget, Target, resource_verb};
pub use authenticator::{Authenticator, AuthenticatorError, Credentials, Unauthenticated};
pub use authorizer::{AllowAll, Authorizer, Decision};
pub use browser::is_foreign_page;
pub use config::{AuthConfig, Authorization, OidcConfig};
pub use impersonation::{Impersonation, ImpersonationError};
pub use listen::{ListenError, ListenPolicy, Listener};
pub use metrics::AuthMetrics;
pub use rbac::{RBAC_GROUP, Rbac, Rule, create_default_roles, default_roles, rbac_kinds};
pub use refusal::{Forbidden, unauthorized};
pub use reviews::{ReviewError, access_review, can_i, self_access_review, self_review, self_rules_review};
pub use tokens::{NewToken, TokenFileError, TokenLineError, TokenNameError};
pub use user::{ANONYMOUS, AUTHENTICATED, MASTERS, UNAUTHENTICATED, User};
