//! Behaviour of the labs, through their public interfaces: their life with a clock that stands still, and their
//! provisioners with real processes and real sockets.

// Clippy allows unwrapping in what is marked as a test, and goes by the attribute.
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
