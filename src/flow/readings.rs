//! One reading of a partition of the journal serves all that wait for it: inputs of a group share it. Pure.

use std::collections::HashMap;

/// Who waits, by the partition of the journal, while it is read for others.
#[derive(Debug)]
pub struct Readings<T> {
    waiting: HashMap<i32, Vec<T>>,
}

impl<T> Default for Readings<T> {
    fn default() -> Self {
        Readings { waiting: HashMap::new() }
    }
}

impl<T> Readings<T> {
    /// One more wants it read. For whom it is to be read now; none while it is read for others.
    pub fn ask(&mut self, partition: i32, who: T) -> Option<Vec<T>> {
        match self.waiting.get_mut(&partition) {
            Some(waiting) => {
                waiting.push(who);
                None
            }
            None => {
                self.waiting.insert(partition, Vec::new());
                Some(vec![who])
            }
        }
    }

    /// It was read. For whom it is to be read next.
    pub fn done(&mut self, partition: i32) -> Option<Vec<T>> {
        let waiting = self.waiting.remove(&partition).filter(|waiting| !waiting.is_empty())?;
        self.waiting.insert(partition, Vec::new());
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::Readings;

    #[test]
    fn whoever_comes_during_a_reading_shares_the_next_one() {
        let mut readings = Readings::default();
        assert_eq!(readings.ask(0, 'a'), Some(vec!['a']));
        assert_eq!(readings.ask(1, 'b'), Some(vec!['b']));
        assert_eq!((readings.ask(0, 'c'), readings.ask(0, 'd')), (None, None));
        assert_eq!(readings.done(0), Some(vec!['c', 'd']));
        assert_eq!((readings.done(0), readings.done(1)), (None, None));
        assert_eq!(readings.ask(0, 'e'), Some(vec!['e']));
    }
}
