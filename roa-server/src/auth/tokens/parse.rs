//! The lines of a token file: `sha256:HASH USER [GROUP,GROUP…] [expires=TIME]`.

use std::path::PathBuf;

use roa_core::Timestamp;
use thiserror::Error;

use super::list::{DIGEST_BYTES, Digest, Token};
use crate::auth::{ANONYMOUS, UNAUTHENTICATED, User};
use crate::files::FileError;

pub(super) const PREFIX: &str = "sha256:";
/// All of them are compared with each token that is shown.
pub(super) const MAX_TOKENS: usize = 1_000;
const MAX_NAME_BYTES: usize = 256;

/// A token file that can't be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenFileError {
    /// It can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line is wrong. What stands in it is not repeated: it may be a token.
    #[error("read {path}, line {line}: {reason}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: TokenLineError,
    },
}

/// What is wrong with a line of a token file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenLineError {
    /// It does not begin with a hash: perhaps with a token.
    #[error(
        "expected sha256: and the 64 hexadecimal digits of a token's hash; a token itself must not stand here; hint: \
         printf %s TOKEN | sha256sum"
    )]
    NoHash,
    /// There is nothing after the hash.
    #[error("expected the user's name after the hash")]
    NoUser,
    /// A name can't be used.
    #[error("{0}")]
    Name(&'static str),
    /// What stands after the groups is no time.
    #[error("expected expires= and a time such as 2027-01-02T03:04:05Z after the groups, or nothing")]
    Expiry,
    /// The hash stands in another line too.
    #[error("the same hash stands in an earlier line")]
    Twice,
    /// There are too many.
    #[error("expected at most 1000 tokens")]
    TooMany,
    /// It is no text.
    #[error("expected UTF-8")]
    NoText,
}

/// The tokens of a file; else the number of the first wrong line.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Token>, (usize, TokenLineError)> {
    let mut tokens: Vec<Token> = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let wrong = |reason| (number, reason);
        let line = std::str::from_utf8(line).map_err(|_| wrong(TokenLineError::NoText))?.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let token = parse_line(line).map_err(wrong)?;
        if tokens.iter().any(|other| other.hash == token.hash) {
            return Err(wrong(TokenLineError::Twice));
        }
        if tokens.len() == MAX_TOKENS {
            return Err(wrong(TokenLineError::TooMany));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

fn parse_line(line: &str) -> Result<Token, TokenLineError> {
    let mut words = line.split_whitespace();
    let hash = words.next().and_then(parse_hash).ok_or(TokenLineError::NoHash)?;
    let user = words.next().ok_or(TokenLineError::NoUser)?;
    check_name(user).map_err(TokenLineError::Name)?;
    let mut words = words.peekable();
    let groups = words.next_if(|word| !word.starts_with("expires=")).unwrap_or_default();
    let groups: Vec<&str> = groups.split(',').filter(|group| !group.is_empty()).collect();
    for group in &groups {
        check_name(group).map_err(TokenLineError::Name)?;
    }
    let expires = words.next().map(parse_expiry).transpose()?;
    if words.next().is_some() {
        return Err(TokenLineError::Expiry);
    }
    Ok(Token { hash, user: User::new(user, groups), expires })
}

fn parse_hash(word: &str) -> Option<Digest> {
    let digits = word.strip_prefix(PREFIX)?.as_bytes();
    if digits.len() != 2 * DIGEST_BYTES {
        return None;
    }
    let mut hash = [0; DIGEST_BYTES];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(hash)
}

fn parse_expiry(word: &str) -> Result<Timestamp, TokenLineError> {
    let time = word.strip_prefix("expires=").ok_or(TokenLineError::Expiry)?;
    time.parse().map_err(|_| TokenLineError::Expiry)
}

/// What is wrong with the name of a user or group, if anything is.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err("a name is empty or longer than 256 bytes");
    }
    if name.contains([',', '=']) || name.chars().any(|char| char.is_whitespace() || char.is_control()) {
        return Err("a name has a space, a comma or an equals sign, or a control character");
    }
    if [ANONYMOUS, UNAUTHENTICATED].contains(&name) {
        return Err("the names of those who were not recognised can't be given to anybody");
    }
    Ok(())
}
