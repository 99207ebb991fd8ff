//! Placeholder until the suite is wired.
fn main() {}
