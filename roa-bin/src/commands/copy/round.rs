//! One pass of a copy: what may be copied, what differs, and whether both are equal in the end.

use anyhow::anyhow;
use roa_core::{CommitError, Error, Revision};

use super::content::{self, Content};
use super::difference::{Comparison, Difference};
use super::entries::Entries;
use super::progress::Progress;
use super::writes::Writes;
use super::{Copy, marker};

/// How many keys a refusal names.
const NAMED: usize = 5;

/// What a copy did.
#[derive(Debug)]
pub(super) struct Copied {
    /// What the source held.
    pub(super) content: Content,
    /// What the target holds: the same.
    pub(super) target: Content,
    /// When the source held it.
    pub(super) revision: Revision,
    /// Where the target's history goes on.
    pub(super) resumes_after: Revision,
    /// Created, replaced, deleted.
    pub(super) written: [u64; 3],
}

/// Why a pass ended early.
#[derive(Debug)]
pub(super) enum Interrupted {
    /// Another pass may go through.
    Again(anyhow::Error),
    /// It won't.
    Refused(anyhow::Error),
}

impl From<Error> for Interrupted {
    fn from(error: Error) -> Self {
        match error {
            Error::Expired { .. } | Error::Unavailable { .. } | Error::TooLarge { .. } => Self::Again(error.into()),
            error => Self::Refused(error.into()),
        }
    }
}

impl From<CommitError> for Interrupted {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Ambiguous { .. } | CommitError::Unavailable { .. } | CommitError::Fenced { .. } => {
                Self::Again(error.into())
            }
            CommitError::Conflict { .. } => Self::Refused(anyhow::Error::new(error).context(WRITTEN_MEANWHILE)),
            error => Self::Refused(error.into()),
        }
    }
}

const WRITTEN_MEANWHILE: &str =
    "the target was written to meanwhile; hint: stop what writes to it and run the copy again, it goes on";

/// Makes the target equal to the source, and looks whether it is.
pub(super) async fn run(copy: &Copy<'_>, progress: &Progress) -> Result<Copied, Interrupted> {
    begin(copy).await?;
    progress.begin(copy.source).await?;
    let (content, revision, written) = transfer(copy, progress).await?;
    // Past all that clients of either store have seen, so that nobody resumes where another history was.
    let (head, state) = (copy.source.state().await?.head, copy.target.state().await?);
    let state = copy.target.fence(state.epoch, state.head.max(head)).await?;
    let (target, _) = content::of(copy.target).await?;
    if target != content {
        let found = anyhow!("the source holds {content}, the target {target}");
        return Err(Interrupted::Refused(found.context(WRITTEN_MEANWHILE)));
    }
    marker::remove(&marker::all(copy.target).await?, copy.target, copy.random).await?;
    if head > revision {
        tracing::warn!(
            "the source was written to while it was copied: it is at revision {head}, its copy as of {revision}; hint: \
             leases alone may have moved it; else stop what writes to it, and copy again with --overwrite"
        );
    }
    Ok(Copied { content, target, revision, resumes_after: state.head, written })
}

/// Marks the target, if it may be written to.
async fn begin(copy: &Copy<'_>) -> Result<(), Interrupted> {
    let (source, target) = (copy.source, copy.target);
    if let Some(of) = marker::unfinished(source).await? {
        return Err(Interrupted::Refused(anyhow!("the source is a copy of {of} that is not complete")));
    }
    if Entries::at_one_revision(source).peek().await?.is_none() {
        return Err(Interrupted::Refused(anyhow!("{source} is empty: there is nothing to copy; is it the right one?")));
    }
    let key = marker::key(source)?;
    if target.get(&key).await?.entry.is_some() {
        return Ok(());
    }
    if !copy.overwrite && Entries::at_one_revision(target).peek().await?.is_some() {
        return Err(Interrupted::Refused(refusal(copy).await?));
    }
    Ok(marker::make(key, source, target, copy.random).await?)
}

/// What would be lost.
async fn refusal(copy: &Copy<'_>) -> Result<anyhow::Error, Error> {
    let (source, target) = (Entries::at_one_revision(copy.source), Entries::at_one_revision(copy.target));
    let (mut comparison, mut lost, mut replaced, mut named) = (Comparison::new(source, target), 0, 0, Vec::new());
    while let Some(difference) = comparison.next().await? {
        match difference {
            Difference::Extra(key, _) => {
                lost += 1;
                named.push(key.to_string());
                named.truncate(NAMED);
            }
            Difference::Other(..) => replaced += 1,
            Difference::Missing(_) => {}
        }
    }
    if lost + replaced == 0 {
        let target = copy.target;
        return Ok(anyhow!(
            "{target} is not empty, though with nothing that a copy would change; hint: --overwrite adds to it"
        ));
    }
    let named = if named.is_empty() { String::new() } else { format!(" ({}{})", named.join(", "), ellipsis(lost)) };
    Ok(anyhow!(
        "{} is not empty, and no copy of this source was begun in it; hint: --overwrite deletes {lost} of its entries{named} \
         and replaces {replaced}",
        copy.target
    ))
}

const fn ellipsis(lost: usize) -> &'static str {
    if lost > NAMED { ", ..." } else { "" }
}

/// Writes what differs. Gives what the source held and when, and what was written.
async fn transfer(copy: &Copy<'_>, progress: &Progress) -> Result<(Content, Revision, [u64; 3]), Interrupted> {
    let state = copy.target.state().await?;
    let mut writes = Writes::new(copy.target, copy.random, state.epoch);
    let mut comparison = Comparison::new(Entries::at_one_revision(copy.source), Entries::as_they_are(copy.target));
    while let Some(difference) = comparison.next().await? {
        writes.add(difference).await?;
        progress.reach(comparison.digest.entries(), &writes.written);
    }
    writes.flush().await?;
    let revision = comparison.source.revision().ok_or_else(|| Error::unavailable("the source told no revision"))?;
    Ok((comparison.digest.finish(), revision, writes.written))
}
