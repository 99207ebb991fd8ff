//! The values of manifests: amounts, addresses, and what somebody wrote, be it right or wrong.

pub(crate) mod email;
mod quantity;
mod written;

pub(crate) use quantity::or_nothing;
pub use quantity::{Quantity, QuantityError};
pub use written::Written;
