//! Who asks, and what they may do.
//!
//! # Layout
//! - Who asks: [`User`], [`Authenticator`], [`Credentials`]; static tokens ([`NewToken`]), client certificates, OIDC
//! - What is asked for: [`Attributes`], [`Target`], [`ResourceTarget`], [`resource_verb`]
//! - Whether it may be done: [`Authorizer`], [`Decision`], [`AllowAll`]; roles ([`Rule`])
//! - What is answered: [`unauthorized`], [`Forbidden`]
//! - Where the API may be open: [`ListenPolicy`], [`is_foreign_page`]
//! - Configuration: [`AuthConfig`], [`Authorization`]

mod attributes;
mod authenticator;
mod authorizer;
mod browser;
mod certificate;
mod config;
mod listen;
mod metrics;
mod rbac;
mod refusal;
mod tokens;
mod user;

pub use attributes::{Attributes, ResourceTarget, Target, resource_verb};
pub use authenticator::{Authenticator, AuthenticatorError, Credentials, Unauthenticated};
pub use authorizer::{AllowAll, Authorizer, Decision};
pub use browser::is_foreign_page;
pub use config::{AuthConfig, Authorization, OidcConfig};
pub use listen::{ListenError, ListenPolicy, Listener};
pub use metrics::AuthMetrics;
pub use rbac::Rule;
pub use refusal::{Forbidden, unauthorized};
pub use tokens::{NewToken, TokenFileError, TokenLineError, TokenNameError};
pub use user::{ANONYMOUS, AUTHENTICATED, MASTERS, UNAUTHENTICATED, User};
