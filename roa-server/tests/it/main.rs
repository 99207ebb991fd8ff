//! The API over a real port: raw requests, and the real `kubectl`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails says where")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says why")]

mod abuse;
mod access;
mod bypasses;
mod declared;
mod kubectl;
mod objects;
mod support;
mod told;
mod watches;
