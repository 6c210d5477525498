//! Fusion: two rankings become one, by reciprocal rank. The numbers here are the same for every store: `local` counts
//! by them, Qdrant is told them.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Passage;

/// What a rank is put off by: a passage's score is the sum of `1 / (K + rank)` over the rankings that have it, ranks
/// counted from 0. At 60 (the value of the paper that named the method, and the default of most engines) a passage
/// that both sides know beats one that a single side puts first; at Qdrant's default of 2 the first of either side
/// wins over nearly everything, so one bad embedder would put noise on top.
pub const K: u32 = 60;

/// How many more than asked for are looked at, so that equal scores at the end of an answer are told apart by key, in
/// every store alike, and not by where a store happens to hold them.
pub const SPARE: usize = 8;

/// How deep each side is read for a fused answer of `limit` passages: a passage in the middle of both may rise.
pub fn depth(limit: usize) -> usize {
    limit.saturating_mul(4).clamp(50, 1_000).max(limit)
}

/// Fuses rankings, best first. Equal scores stand in the order of their keys, so that the answer is one and the same.
pub fn fuse<T: Ord + Copy>(rankings: &[Vec<T>]) -> Vec<(T, f32)> {
    let mut scores = BTreeMap::<T, f32>::new();
    for ranking in rankings {
        for (rank, item) in ranking.iter().enumerate() {
            *scores.entry(*item).or_default() += 1.0 / (K as f32 + rank as f32);
        }
    }
    let mut fused: Vec<_> = scores.into_iter().collect();
    // A stable sort keeps the map's order among equals.
    fused.sort_by(|a, b| b.1.total_cmp(&a.1));
    fused
}

/// The first of an answer: best score first, equal scores by key.
pub(super) fn first(limit: usize, mut found: Vec<(Uuid, Passage)>) -> Vec<Passage> {
    found.sort_by(|(a_key, a), (b_key, b)| {
        b.score.total_cmp(&a.score).then_with(|| a_key.cmp(b_key))
    });
    found.truncate(limit);
    found.into_iter().map(|(_, passage)| passage).collect()
}

#[cfg(test)]
mod tests;
