//! `roa token`: a new token for a user of the API, and the line that makes it valid.

use anyhow::Context as _;
use roa_server::auth::NewToken;
use secrecy::ExposeSecret as _;

use crate::cli::TokenArgs;
use crate::report::Failure;
use crate::show::{note, say};

/// Prints the token alone to stdout, so that it can go to a file unseen, and the line with its hash to stderr.
///
/// # Errors
/// A name can't stand in a file of tokens, or the system gives no random numbers.
pub(crate) fn run(args: &TokenArgs) -> Result<(), Failure> {
    let made = NewToken::generate(&args.user, &args.groups).context("failed to make a token")?;
    say(made.token.expose_secret())?;
    note("Add this line to the file that server.auth.tokens_file names; the token itself stands nowhere else:");
    note(&made.line);
    Ok(())
}
