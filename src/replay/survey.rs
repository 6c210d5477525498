//! What a dry run counts: which events would be brought back, and which not, and why not.

use std::collections::{BTreeMap, HashMap};

use super::record::Candidate;
use crate::audit::Spot;
use crate::event::ids::EventId;
use crate::stream::Progress;

/// Events that one replay may hold: some 150 bytes each.
pub const MOST_EVENTS: usize = 2_000_000;

/// How an event stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// Nothing has happened to it since.
    Fresh,
    /// Its own record, which was not done yet, is still to be run.
    Waiting,
    /// It was brought back, and that is not done yet.
    OnItsWay,
    /// It was brought back, and did not fail again.
    Answered,
}

/// The newest of each event, and whether it is meant.
#[derive(Debug)]
pub struct Survey {
    found: HashMap<EventId, Newest>,
    progress: BTreeMap<i32, Progress>,
    most: usize,
    /// Older dead letters of events that failed again.
    pub superseded: u64,
}

#[derive(Debug)]
struct Newest {
    /// Where the dead letter stands, or the record itself.
    spot: Spot,
    /// Where the record stands that failed.
    input: (i32, i64),
    meant: bool,
    code: String,
    /// Where it was brought back last.
    again: Option<(i32, i64)>,
}

/// What a dry run says.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Events that are brought back, by why they failed.
    pub codes: BTreeMap<String, u64>,
    /// All of these.
    pub events: u64,
    /// Events that are meant, and have been answered since.
    pub answered: u64,
    /// Events that are meant, and are on their way.
    pub on_their_way: u64,
    /// Records that are meant, and are not done for the first time.
    pub waiting: u64,
    /// Older dead letters of events that failed again.
    pub superseded: u64,
}

impl Survey {
    /// Over what a group had committed before anything was read.
    pub fn new(progress: BTreeMap<i32, Progress>, most: usize) -> Self {
        Survey { found: HashMap::new(), progress, most, superseded: 0 }
    }

    /// Takes a dead letter or a record, in the order of its partition. False when there is no room for more.
    pub fn take(&mut self, candidate: &Candidate, spot: Spot, meant: bool) -> bool {
        if self.found.len() >= self.most && !self.found.contains_key(&candidate.event) {
            return false;
        }
        let record = &candidate.record;
        let newest = Newest {
            spot,
            input: (record.at.partition, record.offset),
            meant,
            code: candidate.failed.as_ref().map_or_else(String::new, |failed| failed.code.clone()),
            again: None,
        };
        if self.found.insert(candidate.event, newest).is_some() {
            self.superseded += 1;
        }
        true
    }

    /// A record of the source brought that event back.
    pub fn brought_back(&mut self, event: EventId, partition: i32, offset: i64) {
        let Some(newest) = self.found.get_mut(&event) else { return };
        // A replay goes to the partition that the record was in, so the later one has the higher offset.
        let later = |than: (i32, i64)| partition != than.0 || offset > than.1;
        if later(newest.input) && newest.again.is_none_or(later) {
            newest.again = Some((partition, offset));
        }
    }

    fn standing(&self, newest: &Newest) -> Standing {
        let done = |(partition, offset): (i32, i64)| {
            self.progress.get(&partition).is_some_and(|progress| progress.is_done(offset))
        };
        match newest.again {
            Some(again) if done(again) => Standing::Answered,
            Some(_) => Standing::OnItsWay,
            None if done(newest.input) => Standing::Fresh,
            None => Standing::Waiting,
        }
    }

    /// Whether this record is the one to bring its event back from. `again` also takes what was answered since.
    pub fn chosen(&self, event: EventId, spot: &Spot, again: bool) -> bool {
        self.found.get(&event).is_some_and(|newest| {
            newest.spot == *spot && newest.meant && takes(self.standing(newest), again)
        })
    }

    /// Whether that event is brought back.
    pub fn brings_back(&self, event: EventId, again: bool) -> bool {
        let newest = self.found.get(&event);
        newest.is_some_and(|newest| newest.meant && takes(self.standing(newest), again))
    }

    /// The counts.
    pub fn counts(&self, again: bool) -> Counts {
        let mut counts = Counts { superseded: self.superseded, ..Counts::default() };
        for newest in self.found.values().filter(|newest| newest.meant) {
            let standing = self.standing(newest);
            match standing {
                Standing::Fresh => {}
                Standing::Waiting => counts.waiting += 1,
                Standing::OnItsWay => counts.on_their_way += 1,
                Standing::Answered => counts.answered += 1,
            }
            if takes(standing, again) {
                counts.events += 1;
                let code = if newest.code.is_empty() { "-" } else { &newest.code };
                *counts.codes.entry(code.to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

fn takes(standing: Standing, again: bool) -> bool {
    match standing {
        Standing::Fresh => true,
        Standing::Answered => again,
        // It will run anyway.
        Standing::OnItsWay | Standing::Waiting => false,
    }
}
