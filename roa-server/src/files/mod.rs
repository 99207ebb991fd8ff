//! Files with secrets, and what is made of files that may change: read with bounds, loaded again when they did.

mod private;
mod reload;

pub use private::FileError;
pub(crate) use private::{read_file, read_private};
pub(crate) use reload::Reloaded;
