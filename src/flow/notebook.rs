//! The journal of one partition during one assignment: what was restored, and how far back the next owner must read.
//! Pure but for the writer's counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::journal::{About, Binding, Book, Memory, What, Writer};
use crate::stream::Assignment;

/// How a member keeps its journal.
#[derive(Clone)]
pub struct Keeping {
    /// Where entries are written.
    pub writer: Arc<Writer>,
    /// Whether a request waits until its intent is durable.
    pub strict: bool,
    /// Deaths of an event that runs alone before it is dead-lettered; 0 = never.
    pub crash_loop: usize,
}

/// See the module.
pub struct Notebook {
    book: Book,
    strict: bool,
    crash_loop: usize,
    /// None until it is restored.
    memory: Option<Memory>,
    /// Where the restored part begins.
    low: i64,
    marks: Marks,
    /// Records below this one may have been running when the process died: each says that it starts.
    cautious_until: i64,
    closing: bool,
}

/// What is known of an event before it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caution {
    /// Whether its start is to be written down.
    pub tell: bool,
    /// Deaths while it ran.
    pub deaths: usize,
    /// Whether it died alone too often to be run again.
    pub condemned: bool,
}

impl Notebook {
    /// Of a partition that was just assigned, and of which that partition of the journal tells.
    pub fn new(keeping: &Keeping, home: i32, assignment: &Assignment, permits: usize) -> Self {
        let Keeping { writer, strict, crash_loop } = keeping;
        let progress = &assignment.progress;
        let permits = i64::try_from(permits).unwrap_or(i64::MAX);
        Notebook {
            book: Book::new(writer, assignment.at.clone(), home),
            strict: *strict,
            crash_loop: *crash_loop,
            memory: None,
            low: progress.journal_low.max(0),
            marks: Marks::default(),
            // Where nothing was ever committed nothing has died.
            cautious_until: match assignment.resumed {
                true => progress.high.saturating_add(permits).min(assignment.end),
                false => i64::MIN,
            },
            closing: false,
        }
    }

    /// Where entries are written.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Whether nothing may start yet.
    pub fn is_restoring(&self) -> bool {
        self.memory.is_none()
    }

    /// What was restored. Who gave the partition up in order has killed nobody.
    pub fn restored(&mut self, memory: Memory) {
        if memory.closed() || self.crash_loop == 0 {
            self.cautious_until = i64::MIN;
        }
        self.memory = Some(memory);
    }

    /// An event is about to run.
    pub fn open(&mut self, offset: i64) -> (Binding, Caution) {
        let recalled = self.memory.as_mut().and_then(|memory| memory.recall(offset));
        let from = match recalled {
            Some(_) => self.low,
            None => self.book.end(),
        };
        self.marks.put(offset, from);
        let limit = self.crash_loop;
        let caution = match &recalled {
            Some(recalled) if limit > 0 => Caution {
                tell: offset < self.cautious_until || recalled.deaths() > 0,
                deaths: recalled.deaths(),
                condemned: recalled.alone() >= limit,
            },
            _ => Caution { tell: offset < self.cautious_until, ..Caution::default() },
        };
        (Binding { book: self.book.clone(), strict: self.strict, offset, from, recalled }, caution)
    }

    /// An event is committed.
    pub fn close(&mut self, offset: i64) {
        self.marks.remove(offset);
    }

    /// Where the next owner has to begin to read, if everything is committed that is completed now. `seen` is one past
    /// the highest offset received: what was to be recalled below it will not come.
    pub fn low(&mut self, seen: i64) -> i64 {
        let end = self.book.end();
        let Some(memory) = &mut self.memory else { return self.low };
        memory.forget_below(seen);
        let restored = (!memory.is_empty()).then_some(self.low);
        restored.into_iter().chain(self.marks.lowest()).min().unwrap_or(end)
    }

    /// Tells, once, that the partition is given up in order.
    pub fn give_up(&mut self) {
        if !self.closing {
            self.closing = true;
            self.book.append(About::PARTITION, What::Closed);
        }
    }

    /// Whether it was given up, and everything that was written is durable.
    pub fn is_closed(&self) -> bool {
        self.closing && self.book.pending() == 0
    }
}

/// Where the entries of each open event may begin, by offset.
#[derive(Debug, Default)]
struct Marks(BTreeMap<i64, i64>);

impl Marks {
    fn put(&mut self, offset: i64, from: i64) {
        self.0.insert(offset, from);
    }

    fn remove(&mut self, offset: i64) {
        self.0.remove(&offset);
    }

    /// Asked once for each commit, where events come and go by the thousand: it looks at all that are open.
    fn lowest(&self) -> Option<i64> {
        self.0.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Marks;

    #[test]
    fn the_lowest_mark_is_that_of_the_open_events() {
        let mut marks = Marks::default();
        assert_eq!(marks.lowest(), None);
        for (offset, from) in [(5, 10), (6, 10), (7, 12), (5, 9)] {
            marks.put(offset, from);
        }
        assert_eq!(marks.lowest(), Some(9));
        marks.remove(5);
        assert_eq!(marks.lowest(), Some(10));
        marks.remove(6);
        marks.remove(6);
        assert_eq!(marks.lowest(), Some(12));
        marks.put(4, 11);
        marks.put(9, 13);
        marks.remove(7);
        assert_eq!(marks.lowest(), Some(11), "of an earlier record that came later");
        marks.remove(4);
        assert_eq!(marks.lowest(), Some(13));
        marks.remove(9);
        assert_eq!(marks.lowest(), None);
    }
}
