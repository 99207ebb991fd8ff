//! The memory store, seen from outside.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test they are assertions, in its helpers as well")]

mod commit;
mod compact;
mod fence;
mod list;
mod model;
mod support;
mod tail;
