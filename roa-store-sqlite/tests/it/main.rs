//! The SQLite store, seen from outside: what holds for any store in a file, and what happens around the file.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test they are assertions, in its helpers as well")]

mod backup;
mod bounds;
mod damage;
mod disk_full;
mod lifecycle;
mod lists;
mod model;
mod support;
