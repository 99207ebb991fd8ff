//! Workers, pools and the scheduler, driven directly: stores of all three backends, and a clock that stands still until it
//! is moved.

mod accounts;
mod backends;
mod concurrent;
mod faults;
mod manifests;
mod pools;
mod race;
mod scheduling;
mod silence;
mod workers;
mod world;
