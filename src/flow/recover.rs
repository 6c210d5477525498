//! What a member does about the past before it goes on: it reads the journals of the partitions it was given, keeps
//! suspects apart from all others, and has it written down that an event starts which may have been running when the
//! process died.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::consume::Consumed;
use super::decode::identify;
use super::emit::Emitted;
use super::gate::{self, Pass, Waiting};
use super::lanes::Lane;
use super::member::Member;
use super::notebook::{Caution, Notebook};
use super::refusal::Refusal;
use super::{Line, carry, refused};
use crate::base::retry::Backoff;
use crate::journal::restore::{Input, Restored, restore};
use crate::journal::{About, Memory, What};
use crate::stream::{Assignment, Epoch, StreamError, StreamErrorKind, TopicPartition};

/// Partitions of the journal that are read at a time.
pub(super) const READINGS: usize = 8;
/// Between two tries to read a journal.
const RESTORE_AGAIN: Backoff =
    Backoff { base: Duration::from_millis(100), most: Duration::from_secs(5) };

/// A step of reading back the journals of the partitions that were given.
pub(super) enum Step {
    /// That it is ours stands in that partition of the journal.
    Opened(i32, Epoch, Input),
    /// That partition was read for these, or can't be.
    Read(i32, Vec<(Epoch, TopicPartition)>, Result<Vec<Restored>, StreamError>),
}

/// Takes the events of a partition out of those that are held back.
pub(super) fn drop_held_back(
    held_back: &mut VecDeque<HeldBack>,
    at: &TopicPartition,
) -> Vec<Arc<Consumed>> {
    let (theirs, others) = held_back.drain(..).partition(|held: &HeldBack| held.lane.at == *at);
    *held_back = others;
    let theirs: VecDeque<HeldBack> = theirs;
    theirs.into_iter().map(|held| held.consumed).collect()
}

/// An event that may not run beside those that do.
pub(super) struct HeldBack {
    pub(super) lane: Lane,
    pub(super) consumed: Arc<Consumed>,
    waiting: Option<Waiting>,
}

/// Carries an event that may have been running when the process died: its start is written down before, and one that
/// died alone too often is not run again.
pub(super) async fn carefully(line: &Line, consumed: Arc<Consumed>, pass: &Pass) -> Emitted {
    let Caution { tell, deaths, condemned } = consumed.caution;
    if condemned {
        return refused(line, &consumed, Refusal::CrashLoop { deaths }).await;
    }
    let told = consumed.journal.as_ref().filter(|_| tell || pass.cohort > 0);
    let Some(journal) = told.cloned() else { return carry(line, consumed).await };
    let (event, ..) = identify(&line.decoder.cluster, &consumed);
    let about = About::event(journal.offset, event);
    let start = What::Start { cohort: pass.cohort };
    if let Err(error) = journal.book.append_durably(about, start).await {
        tracing::warn!(%event, %error, "a start can't be written down");
    }
    let emitted = carry(line, consumed).await;
    // A suspect that came through is cleared before the next one may run.
    match pass.cohort {
        0 => journal.book.append(about, What::Ended),
        _ => {
            if let Err(error) = journal.book.append_durably(about, What::Ended).await {
                tracing::warn!(%event, %error, "an end can't be written down");
            }
        }
    }
    emitted
}

impl Member {
    /// Reads the journal of a partition; nothing of it starts before.
    pub(super) fn restore(&self, assignment: &Assignment, notebook: &Notebook) {
        let Assignment { at, epoch, progress, resumed, end, .. } = assignment.clone();
        let book = notebook.book().clone();
        self.restoring.push(Box::pin(async move {
            // First this, then the reading: what stands before it is known here, what comes after is late. Who comes after
            // must not take the partition for one that was given up in order, and an audit sees what could not be read.
            if let Err(error) = book.append_durably(About::PARTITION, What::Opened).await {
                tracing::warn!(%at, %error, "an opening can't be written down");
            }
            Step::Opened(book.home(), epoch, Input { at, progress, resumed, end })
        }));
    }

    pub(super) fn restore_on(&mut self, step: Step) -> Result<(), StreamError> {
        match step {
            Step::Opened(home, epoch, input) => {
                if let Some(asked) = self.restores.ask(home, (epoch, input)) {
                    self.read_back(home, asked);
                }
            }
            Step::Read(home, asked, found) => {
                for ((epoch, at), (memory, until)) in asked.into_iter().zip(found?) {
                    self.restored(at, epoch, memory, until);
                }
                if let Some(asked) = self.restores.done(home) {
                    self.read_back(home, asked);
                }
            }
        }
        Ok(())
    }

    /// Reads a partition of the journal for all of them, a few partitions at a time.
    fn read_back(&self, home: i32, asked: Vec<(Epoch, Input)>) {
        let Some(keeping) = &self.keeping else { return };
        let (writer, places) = (Arc::clone(&keeping.writer), Arc::clone(&self.readings));
        self.restoring.push(Box::pin(async move {
            let _place = places.acquire_owned().await;
            let (epochs, inputs): (Vec<Epoch>, Vec<Input>) = asked.into_iter().unzip();
            let mut tries = 0;
            let found = loop {
                match restore(&writer, home, &inputs).await {
                    Err(error) if error.kind == StreamErrorKind::Unavailable => {
                        tries += 1;
                        tracing::warn!(partition = home, %error, "the journal can't be read, trying again");
                        sleep(RESTORE_AGAIN.wait(tries, u64::MAX, None)).await;
                    }
                    found => break found,
                }
            };
            let inputs = inputs.into_iter().map(|input| input.at);
            Step::Read(home, epochs.into_iter().zip(inputs).collect(), found)
        }));
    }

    fn restored(&mut self, at: TopicPartition, epoch: Epoch, memory: Memory, until: i64) {
        let Some(partition) = self.partitions.get_mut(&at) else { return };
        if partition.tracker.epoch() == epoch
            && let Some(notebook) = &mut partition.notebook
        {
            self.watch.restored(&at, &memory);
            if let Some(takeover) = self.takeovers.get_mut(&(at.clone(), epoch)) {
                takeover.restored(&memory, until);
            }
            notebook.restored(memory);
            self.turns.put(at.clone());
            self.later((at, epoch), 0);
        }
    }

    /// Starts an event as soon as it may run beside those that do.
    pub(super) fn start(&mut self, lane: Lane, consumed: Arc<Consumed>) {
        match self.gate.enter(consumed.caution.deaths) {
            Some(pass) => self.launch(lane, consumed, pass),
            None => {
                let suspect = consumed.caution.deaths >= gate::SUSPECT;
                let waiting = suspect.then(|| self.gate.wait());
                self.held_back.push_back(HeldBack { lane, consumed, waiting });
            }
        }
    }

    /// Starts what was held back and may run now.
    pub(super) fn start_held_back(&mut self) {
        for _ in 0..self.held_back.len() {
            let Some(HeldBack { lane, consumed, waiting }) = self.held_back.pop_front() else {
                return;
            };
            match self.gate.enter(consumed.caution.deaths) {
                Some(pass) => {
                    drop(waiting);
                    self.launch(lane, consumed, pass);
                }
                None => self.held_back.push_back(HeldBack { lane, consumed, waiting }),
            }
        }
    }
}
