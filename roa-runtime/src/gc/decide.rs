//! What becomes of an object: a pure function of itself, its owners and its dependents.

use roa_core::Metadata;
use roa_core::lifecycle::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER, Propagation};

use super::graph::{Going, Uid};

/// How an owner of an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnerState {
    /// It is there, and keeps the object; or nobody can tell.
    Solid,
    /// It goes, and waits for the object.
    Waiting,
    /// It is not there.
    Absent,
}

/// What is known of an object.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    pub(super) metadata: &'a Metadata,
    /// In the order of its references.
    pub(super) owners: Vec<OwnerState>,
    pub(super) has_dependents: bool,
    /// Whether a dependent that blocks its deletion is there.
    pub(super) is_blocked: bool,
    /// Owners that wait for it, and for which it waits in turn.
    pub(super) circle: Vec<Uid>,
}

/// What is to be done about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Keep,
    /// It no longer has these owners.
    DropOwners(Vec<Uid>),
    /// It no longer blocks these owners, for they wait for each other.
    Unblock(Vec<Uid>),
    Delete(Propagation),
    /// Its dependents lose their reference to it.
    OrphanDependents,
    /// It need not stay for its dependents any longer.
    Release(&'static str),
}

pub(super) fn decide(situation: &Situation<'_>) -> Decision {
    match Going::of(situation.metadata) {
        Going::Orphan if situation.has_dependents => Decision::OrphanDependents,
        Going::Orphan => Decision::Release(ORPHAN_FINALIZER),
        Going::Foreground if !situation.circle.is_empty() => Decision::Unblock(situation.circle.clone()),
        Going::Foreground if !situation.is_blocked => Decision::Release(FOREGROUND_FINALIZER),
        Going::Foreground | Going::Yes => Decision::Keep,
        Going::No => by_owners(situation),
    }
}

fn by_owners(situation: &Situation<'_>) -> Decision {
    let of = |state| situation.owners.iter().filter(move |found| **found == state).count();
    let (solid, waiting) = (of(OwnerState::Solid), of(OwnerState::Waiting));
    if solid == situation.owners.len() {
        return Decision::Keep;
    }
    if solid > 0 {
        let references = situation.metadata.owner_references.iter().zip(&situation.owners);
        let lost = references.filter(|(_, state)| **state != OwnerState::Solid);
        return Decision::DropOwners(lost.map(|(reference, _)| reference.uid.as_str().into()).collect());
    }
    Decision::Delete(match situation.metadata {
        _ if waiting > 0 && situation.has_dependents => Propagation::Foreground,
        metadata if metadata.has_finalizer(ORPHAN_FINALIZER) => Propagation::Orphan,
        metadata if metadata.has_finalizer(FOREGROUND_FINALIZER) => Propagation::Foreground,
        _ => Propagation::Background,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use OwnerState::{Absent, Solid, Waiting};
    use roa_core::{OwnerReference, Timestamp};

    fn object(owners: usize, finalizer: Option<&str>, deleting: bool) -> Metadata {
        let mut metadata = Metadata::named("n", "a");
        metadata.owner_references =
            (0..owners).map(|uid| OwnerReference { uid: uid.to_string(), ..OwnerReference::default() }).collect();
        metadata.finalizers.extend(finalizer.map(str::to_owned));
        metadata.deletion_timestamp = deleting.then(|| Timestamp::from_unix_seconds(1).unwrap());
        metadata
    }

    fn alive(owners: &[OwnerState], has_dependents: bool, finalizer: Option<&str>) -> Decision {
        let metadata = object(owners.len(), finalizer, false);
        let owners = owners.to_vec();
        decide(&Situation { metadata: &metadata, owners, has_dependents, is_blocked: false, circle: Vec::new() })
    }

    fn going(finalizer: Option<&str>, has_dependents: bool, is_blocked: bool, circle: &[&str]) -> Decision {
        let metadata = object(1, finalizer, true);
        let circle = circle.iter().map(|uid| Uid::from(*uid)).collect();
        decide(&Situation { metadata: &metadata, owners: vec![Absent], has_dependents, is_blocked, circle })
    }

    #[test]
    fn d8_an_object_goes_when_no_owner_keeps_it_and_not_before() {
        assert_eq!(alive(&[], false, None), Decision::Keep, "who never had an owner stays");
        assert_eq!(alive(&[Solid, Solid], false, None), Decision::Keep);
        assert_eq!(alive(&[Absent], false, None), Decision::Delete(Propagation::Background));
        assert_eq!(alive(&[Absent, Waiting], false, None), Decision::Delete(Propagation::Background));
        assert_eq!(alive(&[Absent, Solid, Waiting], true, None), Decision::DropOwners(vec!["0".into(), "2".into()]));
    }

    #[test]
    fn d8_who_is_waited_for_goes_after_its_own_dependents() {
        assert_eq!(alive(&[Waiting], true, None), Decision::Delete(Propagation::Foreground));
        assert_eq!(alive(&[Absent], true, None), Decision::Delete(Propagation::Background));
        assert_eq!(alive(&[Absent], true, Some(ORPHAN_FINALIZER)), Decision::Delete(Propagation::Orphan));
        assert_eq!(alive(&[Absent], false, Some(FOREGROUND_FINALIZER)), Decision::Delete(Propagation::Foreground));
    }

    #[test]
    fn d8_an_owner_that_goes_waits_for_what_its_propagation_says() {
        assert_eq!(going(Some(FOREGROUND_FINALIZER), true, true, &[]), Decision::Keep);
        assert_eq!(going(Some(FOREGROUND_FINALIZER), true, false, &[]), Decision::Release(FOREGROUND_FINALIZER));
        assert_eq!(going(Some(ORPHAN_FINALIZER), true, true, &[]), Decision::OrphanDependents);
        assert_eq!(going(Some(ORPHAN_FINALIZER), false, false, &[]), Decision::Release(ORPHAN_FINALIZER));
        assert_eq!(going(Some("other"), true, true, &[]), Decision::Keep, "that is for somebody else");
    }

    #[test]
    fn d10_in_a_circle_nobody_waits() {
        assert_eq!(going(Some(FOREGROUND_FINALIZER), true, true, &["b"]), Decision::Unblock(vec!["b".into()]));
    }
}
