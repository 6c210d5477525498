//! What became of the offsets of one assigned partition: pure, no clock, no I/O.
//!
//! It knows only the *open* offsets: received (or, after a restart, expected) and not in the committed progress. Every
//! other offset below the highest received one is done or never existed (compaction, control records, retention):
//! gaps count as done. An event that is completed but not committed is still open, because a progress record that is
//! written now must not call it done (R2); so rule A counts it too, and any subset of completed events can be committed.
//!
//! It does not pause, commit or hold records: it answers, the corridor acts.

use std::collections::BTreeMap;

use crate::stream::{Epoch, Progress};

#[cfg(test)]
mod tests;

/// What to do with a record that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// It is work: the offset is open now.
    Run,
    /// It is done, or it runs already (R10).
    Skip,
    /// Rule A: keep the record, pause the partition, offer it again after the next commit.
    Hold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Unfinished in the progress that was resumed, not received yet.
    Expected,
    /// Received; somebody works on it.
    Running,
    /// Its outputs wait for a commit.
    Completed,
}

/// Offsets of one partition during one assignment.
#[derive(Clone, Debug)]
pub struct Tracker {
    epoch: Epoch,
    /// What the log holds.
    committed: Progress,
    /// One past the highest offset received in this assignment.
    seen: i64,
    open: BTreeMap<i64, State>,
    running: usize,
    completed: usize,
    gaps: u64,
}

impl Tracker {
    /// A partition that was assigned with this progress.
    pub fn new(epoch: Epoch, progress: Progress) -> Tracker {
        let open = progress.incomplete.iter().map(|offset| (*offset, State::Expected)).collect();
        let seen = progress.base;
        Tracker { epoch, committed: progress, seen, open, running: 0, completed: 0, gaps: 0 }
    }

    /// A record arrived. Offsets ascend, but for one that was held and is offered again, or read twice.
    pub fn receive(&mut self, offset: i64) -> Receive {
        if offset < self.seen {
            return Receive::Skip;
        }
        self.give_up_expected_below(offset);
        if self.committed.is_done(offset) {
            self.see(offset);
            return Receive::Skip;
        }
        // One that was resumed stands in the committed map already: taking it makes no map larger, holding it could
        // hold it for ever.
        let expected = self.open.contains_key(&offset);
        if !expected && !Progress::fits(self.span_with(offset), self.open.len() + 1) {
            return Receive::Hold;
        }
        self.open.insert(offset, State::Running);
        self.running += 1;
        self.see(offset);
        Receive::Run
    }

    /// An event of this assignment is finished and its outputs wait. False when it is to be dropped: the partition was
    /// given up since (R4), or the offset does not run.
    pub fn complete(&mut self, epoch: Epoch, offset: i64) -> bool {
        self.turn(epoch, offset, State::Running, State::Completed)
    }

    /// A completed event runs again, because what it read will never be committed. False when it is not waiting.
    pub fn reopen(&mut self, epoch: Epoch, offset: i64) -> bool {
        self.turn(epoch, offset, State::Completed, State::Running)
    }

    /// The progress that a commit of these completed events writes: what is committed already and they, nothing else
    /// (R2). Changes nothing: a commit may fail.
    pub fn progress(&self, chosen: &[i64], nonce: u64, journal_low: i64) -> Progress {
        debug_assert!(
            chosen.iter().all(|offset| self.open.get(offset) == Some(&State::Completed)),
            "a commit of offsets that are not completed"
        );
        let mut chosen = chosen.to_vec();
        chosen.sort_unstable();
        let highest = chosen.last().map_or(self.committed.high, |last| last + 1);
        let high = highest.max(self.committed.high);
        let mut left =
            self.open.keys().copied().filter(|o| chosen.binary_search(o).is_err()).peekable();
        // An open offset above `high` proves that nothing between is missing: the gap belongs to the base.
        let base = left.peek().copied().unwrap_or(high);
        let high = high.max(base);
        let incomplete = left.take_while(|offset| *offset < high).collect();
        let sequence = self.committed.sequence.wrapping_add(1);
        let journal = self.committed.journal;
        Progress { base, high, incomplete, nonce, sequence, journal_low, journal }
    }

    /// The log took the progress that was made for these events. False, and nothing changes, for an older assignment.
    pub fn settle(&mut self, epoch: Epoch, chosen: &[i64], progress: Progress) -> bool {
        if epoch != self.epoch {
            return false;
        }
        for offset in chosen {
            if self.open.remove(offset) == Some(State::Completed) {
                self.completed -= 1;
            }
        }
        debug_assert!(progress.base >= self.committed.base, "the base of a partition moved back");
        self.committed = progress;
        debug_assert_eq!(self.self_check(), Ok(()));
        true
    }

    /// Of this assignment.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the log holds.
    pub fn committed(&self) -> &Progress {
        &self.committed
    }

    /// One past the highest offset received.
    pub fn seen(&self) -> i64 {
        self.seen
    }

    /// Events that are worked on.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Events whose outputs wait for a commit.
    pub fn completed(&self) -> usize {
        self.completed
    }

    /// Offsets that no committed progress calls done: running, completed, or expected after a restart.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Offsets from the first open one to the highest that is received or done.
    pub fn span(&self) -> i64 {
        let first = self.open.first_key_value().map(|(first, _)| *first);
        first.map_or(0, |first| self.seen.max(self.committed.high) - first)
    }

    /// Offsets that were expected and never came: compacted, deleted, or control records.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Records between the committed offset and the end of the partition.
    pub fn lag(&self, end: i64) -> i64 {
        (end - self.committed.base).max(0)
    }

    /// The invariants; what is wrong, if anything is.
    pub fn self_check(&self) -> Result<(), String> {
        let count = |state| self.open.values().filter(|s| **s == state).count();
        let misplaced = self.open.iter().find(|(offset, state)| {
            self.committed.is_done(**offset)
                || (**offset >= self.seen) != (**state == State::Expected)
        });
        if let Some((offset, state)) = misplaced {
            return Err(format!("offset {offset} is {state:?}, with {} seen", self.seen));
        }
        if !self.committed.is_sound() {
            return Err(format!("committed {:?}", self.committed));
        }
        if (self.running, self.completed) != (count(State::Running), count(State::Completed)) {
            return Err(format!("{} running and {} completed", self.running, self.completed));
        }
        if !Progress::fits(self.span(), self.open.len()) {
            return Err(format!("{} open offsets within {}", self.open.len(), self.span()));
        }
        Ok(())
    }

    fn see(&mut self, offset: i64) {
        self.gaps += offset.saturating_sub(self.seen) as u64;
        self.seen = offset + 1;
    }

    /// Offsets ascend, so what was expected below this one is not there any more.
    fn give_up_expected_below(&mut self, offset: i64) {
        while let Some((&first, State::Expected)) = self.open.range(self.seen..offset).next() {
            self.open.remove(&first);
        }
    }

    /// Were this one taken too. It is not done, so nothing above it is.
    fn span_with(&self, offset: i64) -> i64 {
        let first = self.open.first_key_value().map_or(offset, |(first, _)| (*first).min(offset));
        offset + 1 - first
    }

    fn turn(&mut self, epoch: Epoch, offset: i64, from: State, to: State) -> bool {
        let Some(state) = self.open.get_mut(&offset) else { return false };
        if epoch != self.epoch || *state != from {
            return false;
        }
        *state = to;
        let (less, more) = match to {
            State::Completed => (&mut self.running, &mut self.completed),
            _ => (&mut self.completed, &mut self.running),
        };
        *less -= 1;
        *more += 1;
        true
    }
}
