//! The clocks of a running process, together its [`Clocks`].
//!
//! - [`SystemClock`]: the machine's time; stands still while the machine sleeps.
//! - [`BootClock`]: the same, and counts the time that the machine slept: for leases.
//! - [`ScaledClock`]: another clock's time, passing faster: for demonstrations of long stories.

mod boot;
mod clocks;
mod scaled;
mod system;

pub use boot::BootClock;
pub use clocks::Clocks;
pub use scaled::ScaledClock;
pub use system::SystemClock;
