//! A small store whose whole state is one value: it can be copied, kept, and opened again.
//!
//! It is as simple as a store can be that keeps the contract, and shares no code with another one.

mod data;
mod factory;
mod store;

pub(crate) use factory::ImageFactory;
