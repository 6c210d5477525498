//! Whose turn it is: partitions that have records waiting, one after the other. Pure. However many there are, the next one
//! is found at once, and those that have nothing waiting cost nothing.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use crate::stream::TopicPartition;

/// See the module.
#[derive(Debug, Default)]
pub struct Turns {
    waiting: BTreeSet<TopicPartition>,
    last: Option<TopicPartition>,
}

impl Turns {
    /// It waits from now on.
    pub fn put(&mut self, at: TopicPartition) {
        self.waiting.insert(at);
    }

    /// It waits no more.
    pub fn remove(&mut self, at: &TopicPartition) {
        self.waiting.remove(at);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The one after that of the last call.
    pub fn turn(&mut self) -> Option<TopicPartition> {
        let after = self.last.as_ref().and_then(|last| {
            self.waiting.range::<TopicPartition, _>((Excluded(last), Unbounded)).next()
        });
        self.last = after.or_else(|| self.waiting.first()).cloned();
        self.last.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_has_its_turn_and_nobody_waits_for_those_that_have_gone() {
        let at = |partition| TopicPartition { topic: Arc::from("in"), partition };
        let mut turns = Turns::default();
        assert_eq!(turns.turn(), None);
        for partition in [3, 1, 2] {
            turns.put(at(partition));
        }
        let next = |turns: &mut Turns| turns.turn().map(|at| at.partition);
        assert_eq!([1, 2, 3, 1].map(|_| next(&mut turns)), [1, 2, 3, 1].map(Some));
        turns.remove(&at(1));
        turns.remove(&at(2));
        assert_eq!((next(&mut turns), turns.len()), (Some(3), 1));
        turns.put(at(0));
        assert_eq!([0, 3].map(|_| next(&mut turns)), [0, 3].map(Some));
        turns.remove(&at(0));
        turns.remove(&at(3));
        assert!(turns.is_empty() && next(&mut turns).is_none());
    }
}
