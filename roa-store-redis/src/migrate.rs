//! The version of what the keys hold.

use crate::error::OpenError;
use crate::meta::Meta;

/// The version that this program writes, and the newest that it reads. There is no older one to migrate from.
pub(crate) const SCHEMA: u64 = 1;

/// Refuses what a later version wrote.
pub(crate) fn check(address: &str, meta: &Meta) -> Result<(), OpenError> {
    if meta.schema > SCHEMA {
        return Err(OpenError::Newer { address: address.to_owned(), found: meta.schema, supported: SCHEMA });
    }
    Ok(())
}
