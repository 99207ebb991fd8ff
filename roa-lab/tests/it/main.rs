//! Behaviour of the labs, through their public interfaces: their life with a clock that stands still, that of the workers
//! that they are placed on, and their provisioners with real processes and real sockets.

// Clippy allows unwrapping in what is marked as a test, and goes by the attribute.
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod process;
#[cfg(test)]
mod static_site;
#[cfg(test)]
mod support;
