//! The best of many, the worst of them at hand.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Passages by score, best first.
pub(super) type Ranked = Vec<(i64, f32)>;

/// Keeps the best; of equal scores the passage with the lower number.
pub(super) struct Best {
    limit: usize,
    floor: f32,
    heap: BinaryHeap<Reverse<Scored>>,
}

#[derive(Clone, Copy, PartialEq)]
struct Scored(f32, i64);

impl Eq for Scored {}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then_with(|| other.1.cmp(&self.1))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Best {
    /// Of at most `limit`, none below the floor.
    pub(super) fn new(limit: usize, floor: f32) -> Self {
        Best { limit, floor, heap: BinaryHeap::new() }
    }

    /// One more. A score that is no number is none.
    pub(super) fn offer(&mut self, number: i64, score: f32) {
        if score.is_nan() || score < self.floor {
            return;
        }
        let offered = Scored(score, number);
        if self.heap.len() == self.limit {
            match self.heap.peek() {
                Some(Reverse(worst)) if *worst < offered => self.heap.pop(),
                _ => return,
            };
        }
        self.heap.push(Reverse(offered));
    }

    pub(super) fn ranked(self) -> Ranked {
        let mut all: Vec<Scored> = self.heap.into_iter().map(|Reverse(scored)| scored).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|Scored(score, number)| (number, score)).collect()
    }
}
