//! The tree of RFC 6962 (2.1) over a batch: one hash for all its calls, and a short proof that one of them is among them.

use sha2::{Digest as _, Sha256};

use crate::link::Hash;

/// Leaves and nodes begin with different bytes, so that none can pass for the other.
const LEAF: &[u8] = &[0];
const NODE: &[u8] = &[1];

pub(crate) fn leaf(parts: &[&[u8]]) -> Hash {
    let mut hash = Sha256::new_with_prefix(LEAF);
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0; 65];
    bytes[0] = NODE[0];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

/// Level by level, in place; a hash without a neighbour goes up as it is.
pub(crate) fn root(mut hashes: Vec<Hash>) -> Hash {
    if hashes.is_empty() {
        return Sha256::digest([]).into();
    }
    while hashes.len() > 1 {
        level(&mut hashes);
    }
    hashes[0]
}

fn level(hashes: &mut Vec<Hash>) {
    let pairs = hashes.len() / 2;
    for pair in 0..pairs {
        hashes[pair] = node(&hashes[2 * pair], &hashes[2 * pair + 1]);
    }
    if hashes.len() % 2 == 1 {
        hashes[pairs] = hashes[2 * pairs];
        hashes.truncate(pairs + 1);
    } else {
        hashes.truncate(pairs);
    }
}

/// The hashes beside the way from leaf `at` to the root, lowest first.
pub(crate) fn path(mut hashes: Vec<Hash>, mut at: usize) -> Vec<Hash> {
    let mut path = Vec::new();
    while hashes.len() > 1 {
        if let Some(beside) = hashes.get(at ^ 1) {
            path.push(*beside);
        }
        level(&mut hashes);
        at /= 2;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The root that a leaf and its path lead to in a tree of `count` leaves; `None` if the path has not the right length.
    fn root_of(leaf: Hash, mut at: usize, mut count: usize, path: &[Hash]) -> Option<Hash> {
        if at >= count {
            return None;
        }
        let (mut hash, mut path) = (leaf, path.iter());
        while count > 1 {
            if at ^ 1 < count {
                let beside = path.next()?;
                hash = if at % 2 == 1 { node(beside, &hash) } else { node(&hash, beside) };
            }
            at /= 2;
            count = count.div_ceil(2);
        }
        path.next().is_none().then_some(hash)
    }

    /// As RFC 6962 puts it, word for word.
    fn by_the_book(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            many => {
                let half = many.len().next_power_of_two() / 2;
                node(&by_the_book(&many[..half]), &by_the_book(&many[half..]))
            }
        }
    }

    #[test]
    fn the_root_is_the_one_of_rfc_6962() {
        for count in 0..70_u8 {
            let leaves: Vec<Hash> = (0..count).map(|n| leaf(&[&[n]])).collect();
            assert_eq!(root(leaves.clone()), by_the_book(&leaves), "{count}");
        }
        // The first of the tree's test vectors in Certificate Transparency.
        assert_eq!(hex::encode(root(vec![leaf(&[])])), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }

    #[test]
    fn a_path_leads_from_each_leaf_to_the_root_and_from_no_other() {
        for count in 1..40_usize {
            let leaves: Vec<Hash> = (0..count).map(|n| leaf(&[&n.to_be_bytes()])).collect();
            let root = root(leaves.clone());
            for at in 0..count {
                let way = path(leaves.clone(), at);
                assert_eq!(root_of(leaves[at], at, count, &way), Some(root));
                assert_ne!(root_of(leaf(&[b"other"]), at, count, &way), Some(root));
                assert_eq!(root_of(leaves[at], count, count, &way), None);
                let longer = [&way[..], &[root]].concat();
                assert_eq!(root_of(leaves[at], at, count, &longer), None);
            }
        }
    }
}
