//! Clients of Kubernetes, unmodified, over a real port of the real `roa`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails says where")]
#![expect(clippy::print_stderr, reason = "a test that can't run says why")]

mod kubectl;
mod kubers;
mod oidc;
mod python;
mod support;
