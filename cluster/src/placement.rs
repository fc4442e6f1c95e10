//! Which member owns a key: keyed rendezvous hashing, in integers only.
//!
//! Every member gets a score for the key, and the highest wins. A member that leaves moves only its
//! own keys, one that comes takes only what it wins, and no member needs a table. The seed is
//! secret, so that nobody outside can choose keys that meet at one node. Pure; knows no health and
//! no epoch.

use std::{fmt, io};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use crate::view::NodeId;

/// The algorithm, named in the view: nodes of different releases must agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placement {
    /// `mix64(siphash-2-4(seed, key) ^ mix64(node id))`; the highest wins, ties by the higher id.
    V1,
}

/// The secret that placement is keyed with. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(pub [u8; 16]);

impl Placement {
    /// The owner of a key among `members`; their order does not matter. `None` without members.
    ///
    /// The key is hashed once, so its length does not multiply with the number of members.
    pub fn owner(
        self,
        seed: &Seed,
        key: &[u8],
        members: impl IntoIterator<Item = NodeId>,
    ) -> Option<NodeId> {
        let Self::V1 = self;
        let key = SipHasher24::new_with_key(&seed.0).hash(key);
        members.into_iter().max_by_key(|&node| (score(key, node), node))
    }
}

impl Seed {
    /// A fresh seed from the kernel.
    ///
    /// # Errors
    /// The kernel gives no random bytes.
    pub fn random() -> io::Result<Self> {
        let mut seed = [0; 16];
        match getrandom::fill(&mut seed) {
            Ok(()) => Ok(Self(seed)),
            Err(error) => Err(io::Error::other(format!("no random bytes: {error}"))),
        }
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(hidden)")
    }
}

/// How much a node wants a key, given the key's hash.
fn score(key: u64, node: NodeId) -> u64 {
    mix64(key ^ mix64(node.0))
}

/// Spreads every bit of the input over the output; a bijection (the finaliser of SplitMix64).
fn mix64(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Many keys that differ in little, as names of pipes do.
    const KEYS: u32 = 60_000;

    fn seed() -> Seed {
        Seed(std::array::from_fn(|i| i as u8))
    }

    fn nodes(ids: impl IntoIterator<Item = u64>) -> Vec<NodeId> {
        ids.into_iter().map(NodeId).collect()
    }

    fn owner(key: &[u8], members: &[NodeId]) -> NodeId {
        Placement::V1.owner(&seed(), key, members.iter().copied()).unwrap()
    }

    fn owners(members: &[NodeId]) -> Vec<NodeId> {
        (0..KEYS).map(|i| owner(format!("build-{i}").as_bytes(), members)).collect()
    }

    #[test]
    fn scores_and_owners_are_pinned() {
        // Computed by another implementation. If this fails, nodes of two releases would disagree:
        // add a version instead.
        let ten = nodes(1..=10);
        let long = [b'x'; 1024];
        for (key, scores, winner) in [
            (&b""[..], [0x493c_56f3_2116_3390, 0x4d88_17f9_1b5d_f7b7, 0x807c_0413_ac0f_1ad4], 4),
            (b"a", [0xbf07_dd86_30c8_23a9, 0xb78d_8aea_ee55_b5fb, 0x097f_5093_452c_3a94], 5),
            (
                b"run-42/tokens",
                [0xd70e_3eb7_be50_bee3, 0xda28_1785_2316_b6c4, 0x4647_424f_4655_193f],
                4,
            ),
            (&long, [0x0e98_59c2_87ae_4f72, 0x4e20_0818_5092_9556, 0x4303_cef7_d569_cbd0], 6),
        ] {
            let hash = SipHasher24::new_with_key(&seed().0).hash(key);
            assert_eq!([1, 2, 3].map(|id| score(hash, NodeId(id))), scores);
            assert_eq!(owner(key, &ten), NodeId(winner));
        }
    }

    #[test]
    fn mixing_is_the_finaliser_of_splitmix64() {
        assert_eq!((mix64(0), mix64(1)), (0, 0x5692_161d_100b_05e5));
    }

    #[test]
    fn shares_are_even_within_a_tenth() {
        for count in [2, 3, 7, 20] {
            let members = nodes(1..=count);
            let mut shares = HashMap::new();
            for node in owners(&members) {
                *shares.entry(node).or_insert(0u32) += 1;
            }
            let fair = KEYS as f64 / count as f64;
            for node in members {
                let share = f64::from(shares[&node]);
                assert!((share / fair - 1.0).abs() < 0.1, "{node:?} of {count}: {share}");
            }
        }
    }

    #[test]
    fn only_the_keys_of_a_leaver_move_and_a_newcomer_takes_only_its_own() {
        let many = nodes(1..=8);
        let few: Vec<NodeId> = many.iter().copied().filter(|node| node.0 != 5).collect();
        let (with, without) = (owners(&many), owners(&few));
        let moved = with.iter().zip(&without).filter(|(a, b)| a != b).count();
        assert!(with.iter().zip(&without).all(|(a, b)| a == b || *a == NodeId(5)));
        assert!(moved > KEYS as usize / 10, "node 5 owned {moved} keys only");
    }

    #[test]
    fn nobody_owns_anything_without_members() {
        assert_eq!(Placement::V1.owner(&seed(), b"key", []), None);
    }

    #[test]
    fn a_seed_is_never_shown() {
        assert_eq!(format!("{:?}", Seed([42; 16])), "Seed(hidden)");
    }

    proptest! {
        #[test]
        fn the_order_of_members_does_not_matter(
            key in prop::collection::vec(any::<u8>(), 0..1100),
            ids in prop::collection::hash_set(any::<u64>(), 1..12),
        ) {
            let mut members = nodes(ids);
            let first = owner(&key, &members);
            members.sort();
            prop_assert_eq!(owner(&key, &members), first);
            members.reverse();
            prop_assert_eq!(owner(&key, &members), first);
        }

        #[test]
        fn another_seed_places_independently(other in any::<[u8; 16]>()) {
            prop_assume!(Seed(other) != seed());
            let members = nodes(1..=2);
            let keys: Vec<[u8; 4]> = (0..400u32).map(u32::to_be_bytes).collect();
            let same = keys.iter().filter(|key| {
                let placed = Placement::V1.owner(&Seed(other), &key[..], members.iter().copied());
                placed == Some(owner(&key[..], &members))
            });
            // 200 expected, a standard deviation of 10.
            prop_assert!((130..=270).contains(&same.count()));
        }
    }
}
