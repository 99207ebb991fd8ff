//! What the benchmarks share: made-up batches, the raw limits, a store that replays, writers, and the pace.
//!
//! A raw limit is a program of a few lines that does the least that can be done with the same guarantees. Each benchmark
//! runs it beside ROA in the same run, so that the ratio counts and not the machine.

mod backend;
mod course;
mod figure;
mod hot;
mod pace;
mod raw;
mod raw_queue;
mod raw_redis;
mod raw_sqlite;
mod replay;
mod sample;
mod side;

pub use backend::Backend;
pub use course::{Course, CourseStatus, Generated, added, course};
pub use figure::{figure, median, resident, skipped};
pub use hot::HotPath;
pub use pace::{Group, group, is_quick};
pub use raw::{RawCursor, RawLog, RawStore};
pub use raw_queue::RawQueue;
pub use raw_redis::RawRedis;
pub use raw_sqlite::{RawCommit, RawPut, RawReader, RawRow, RawSqlite};
pub use replay::ReplayStore;
pub use sample::{batches, key, object_value, prefix, sized_value};
pub use side::{Client, Quantile, Roa, Side, measure};
