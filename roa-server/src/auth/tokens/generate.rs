//! [`NewToken`]: a random token, and the line of the token file that makes it valid.

use std::fmt::{self, Write as _};

use ring::rand::{SecureRandom, SystemRandom};
use secrecy::SecretString;
use thiserror::Error;

use super::list::digest;
use super::parse::{PREFIX, check_name};

/// A token that nobody had before: 256 random bits.
///
/// ```
/// use roa_server::auth::NewToken;
/// let token = NewToken::generate("alice", &["ops".into()])?;
/// assert!(token.line.starts_with("sha256:") && token.line.ends_with(" alice ops"));
/// # Ok::<(), roa_server::auth::TokenNameError>(())
/// ```
#[non_exhaustive]
pub struct NewToken {
    /// What its bearer shows. It stands nowhere else.
    pub token: SecretString,
    /// The line of the token file; it has only the token's hash.
    pub line: String,
}

/// A name that can't stand in a token file, or no random numbers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenNameError {
    /// A user or group can't be called so.
    #[error("make a token for {name:?}: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The system gives no random numbers.
    #[error("make a token: the system gives no random numbers")]
    NoRandom,
}

impl NewToken {
    /// A random token for a user in these groups.
    ///
    /// # Errors
    /// [`TokenNameError`] if a name can't stand in a token file.
    pub fn generate(user: &str, groups: &[String]) -> Result<Self, TokenNameError> {
        for name in [user].into_iter().chain(groups.iter().map(String::as_str)) {
            check_name(name).map_err(|reason| TokenNameError::Name { name: name.to_owned(), reason })?;
        }
        let mut random = [0; 32];
        SystemRandom::new().fill(&mut random).map_err(|_| TokenNameError::NoRandom)?;
        let token = format!("roa_{}", hex(&random));
        let mut line = format!("{PREFIX}{} {user}", hex(&digest(&token)));
        if !groups.is_empty() {
            line.extend([" ", &groups.join(",")]);
        }
        Ok(Self { token: token.into(), line })
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewToken(<redacted>)")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to text has no way to fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
