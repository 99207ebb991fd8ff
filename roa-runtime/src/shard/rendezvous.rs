//! Rendezvous hashing, also called highest random weight.

use super::{SHARDS, hash};

/// The shards that `me` should have among `members`, in order; none if it is not among them.
pub(crate) fn wanted(me: &str, members: &[&str]) -> Vec<usize> {
    (0..SHARDS).filter(|shard| owner(*shard, members) == Some(me)).collect()
}

/// Who of the members should have a shard: who weighs most for it. The order of the members plays no part.
fn owner<'a>(shard: usize, members: &[&'a str]) -> Option<&'a str> {
    members.iter().copied().max_by_key(|member| (weight(shard, member), *member))
}

fn weight(shard: usize, member: &str) -> u64 {
    hash(&[&(shard as u64).to_le_bytes(), member.as_bytes()])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn owners<'a>(members: &[&'a str]) -> Vec<Option<&'a str>> {
        (0..SHARDS).map(|shard| owner(shard, members)).collect()
    }

    fn refs(members: &BTreeSet<String>) -> Vec<&str> {
        members.iter().map(String::as_str).collect()
    }

    #[test]
    fn without_members_nobody_should_have_anything() {
        assert_eq!((wanted("a", &[]), wanted("a", &["b"])), (vec![], vec![]));
        assert_eq!(wanted("a", &["a"]).len(), SHARDS);
    }

    /// Another version that answered otherwise would pass shards back and forth with this one.
    #[test]
    fn the_weights_never_change() {
        assert_eq!([weight(0, "a"), weight(63, "node-b")], [907_882_313_840_645_905, 11_388_290_289_920_906_913]);
    }

    proptest! {
        #[test]
        fn each_shard_has_one_owner_whatever_the_order(members in prop::collection::btree_set("[a-z]{1,8}", 1..9)) {
            let (members, mut reversed) = (refs(&members), refs(&members));
            reversed.reverse();
            prop_assert_eq!(owners(&members), owners(&reversed));
            let all: usize = members.iter().map(|member| wanted(member, &members).len()).sum();
            prop_assert_eq!(all, SHARDS);
        }

        /// Minimal movement: who comes only takes, and whose shards nobody else wants stay where they are.
        #[test]
        fn a_member_that_comes_or_goes_moves_only_its_own_shards(
            members in prop::collection::btree_set("[a-z]{1,8}", 1..9),
            other in "[A-Z]{1,8}",
        ) {
            let before = refs(&members);
            let after = [before.as_slice(), &[other.as_str()]].concat();
            for (before, after) in owners(&before).into_iter().zip(owners(&after)) {
                prop_assert!(after == before || after == Some(other.as_str()));
            }
        }

        #[test]
        fn no_member_has_far_more_than_its_part(members in prop::collection::btree_set("[a-z]{8}", 2..6)) {
            let members = refs(&members);
            let most = members.iter().map(|member| wanted(member, &members).len()).max().unwrap_or_default();
            prop_assert!(most <= SHARDS / members.len() + 24, "{most} of {SHARDS} for one of {}", members.len());
        }
    }
}
