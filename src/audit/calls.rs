//! C8: which calls were paid again although their outcome stood in the journal. A fold over the journal's records, in the
//! order in which each partition holds them.

use std::collections::HashMap;

use uuid::Uuid;

use super::fact::Spot;
use super::finding::{Check, Findings};
use crate::event::ids::EventId;
use crate::event::money::Money;

/// A record of the journal.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where it stands.
    pub spot: Spot,
    /// The event.
    pub event: EventId,
    /// Partition and offset of the input record.
    pub input: (i32, i64),
    /// Drawn by each process at its start.
    pub run: u64,
    /// What it says.
    pub what: CallWhat,
}

/// What a record of the journal says.
#[derive(Clone, Debug)]
pub enum CallWhat {
    /// An attempt is about to leave.
    Intent {
        /// The attempt.
        attempt: Uuid,
        /// When it was to leave, milliseconds since the epoch.
        started_at: i64,
    },
    /// An attempt did not leave after all.
    Withdrawn {
        /// The attempt.
        attempt: Uuid,
    },
    /// Something of an event that is no call.
    Other,
    /// An attempt ended.
    Outcome {
        /// The attempt; none for what costs nothing.
        attempt: Option<Uuid>,
        /// What it cost; none when the price is not known.
        amount: Option<Money>,
        /// When it began, milliseconds since the epoch.
        started_at: i64,
        /// Which answer it is, and to which question; none when it failed.
        answer: Option<Answered>,
    },
}

/// An answer of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answered {
    /// Digest of stage, item, operation and ordinal.
    pub place: u64,
    /// Digest of the request as asked.
    pub digest: u64,
}

/// The answers of each event so far: some 90 bytes each.
#[derive(Debug, Default)]
pub(super) struct Calls {
    paid: HashMap<(EventId, u64, u64), Paid>,
    /// Where an attempt was announced; dropped with its outcome.
    intents: HashMap<Uuid, i64>,
    /// Where the journal stood when each process was last given a partition, or wrote first of it.
    runs: HashMap<(u64, i32), i64>,
    /// Who has each partition.
    owners: HashMap<i32, Owner>,
    pub within: u64,
    pub calls: u64,
}

#[derive(Clone, Copy, Debug)]
struct Paid {
    attempt: Uuid,
    run: u64,
    offset: i64,
    late: bool,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    run: u64,
    /// Milliseconds since the epoch.
    since: i64,
}

impl Calls {
    /// A process was given the partition: what stands before that offset of the journal, it could read.
    pub fn opened(&mut self, partition: i32, offset: i64, run: u64, since: i64) {
        self.runs.insert((run, partition), offset);
        self.owners.insert(partition, Owner { run, since });
    }

    /// Whether it is told by somebody who had lost the partition, or who began it before he lost and was given it again.
    pub fn is_late(&self, call: &Call) -> bool {
        let (CallWhat::Intent { started_at, .. } | CallWhat::Outcome { started_at, .. }) =
            call.what
        else {
            return false;
        };
        let owner = self.owners.get(&call.input.0);
        owner.is_some_and(|owner| owner.run != call.run || started_at < owner.since)
    }

    /// Takes the next record of a partition.
    pub fn take(&mut self, call: &Call, findings: &mut Findings) {
        let Call { spot, event, run, what, input: (partition, _) } = call;
        self.runs.entry((*run, *partition)).or_insert(spot.offset);
        match what {
            CallWhat::Intent { attempt, .. } => {
                self.intents.insert(*attempt, spot.offset);
            }
            CallWhat::Withdrawn { attempt } => {
                self.intents.remove(attempt);
            }
            CallWhat::Other | CallWhat::Outcome { attempt: None, .. } => {}
            CallWhat::Outcome { attempt: Some(attempt), answer, .. } => {
                self.calls += 1;
                findings.judged(Check::C8, 1);
                let announced = self.intents.remove(attempt);
                let Some(Answered { place, digest }) = answer else { return };
                let late = self.is_late(call);
                let paid = Paid { attempt: *attempt, run: *run, offset: spot.offset, late };
                let key = (*event, *place, *digest);
                let Some(before) = self.paid.insert(key, paid) else { return };
                if before.attempt == paid.attempt {
                    return; // The same record, sent twice.
                }
                match before.run == *run && (before.late || late) {
                    // It was under way when the partition was lost, and came back.
                    true => self.within += 1,
                    false => self.again(before, announced.unwrap_or(spot.offset), call, findings),
                }
            }
        }
    }

    /// The same call was paid again by an attempt that left at that offset.
    fn again(&mut self, before: Paid, left: i64, call: &Call, findings: &mut Findings) {
        let Call { spot, event, run, input: (partition, _), .. } = call;
        let told = |code, message: String, findings: &mut Findings| {
            findings.add(Check::C8, code, Some(spot.clone()), Some(*event), message);
        };
        let place = format!("its outcome stands at offset {}", before.offset);
        if before.run == *run {
            told("paid-twice", format!("one process paid the same call twice: {place}"), findings);
            return;
        }
        // What the later process could have read when it took over: everything before its own first record here.
        let took_over = self.runs.get(&(*run, *partition)).copied().unwrap_or(left);
        if before.offset < left && before.offset < took_over {
            let message = format!("a call was paid again by a later process although {place}");
            told("paid-though-known", message, findings);
        } else {
            self.within += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Answered, Call, CallWhat, Calls, Findings, Spot};
    use crate::event::ids::EventId;

    fn outcome(offset: i64, run: u64) -> Call {
        let attempt = Some(Uuid::from_u128(u128::from(run)));
        let answer = Some(Answered { place: 1, digest: 1 });
        Call {
            spot: spot(offset),
            event: EventId::new("c", "in", 0, 7, 0),
            input: (0, 7),
            run,
            what: CallWhat::Outcome { attempt, amount: None, started_at: 0, answer },
        }
    }

    fn spot(offset: i64) -> Spot {
        Spot { topic: "journal".into(), partition: 0, offset }
    }

    #[test]
    fn an_outcome_that_came_after_the_partition_was_taken_over_could_not_be_known() {
        for (opened, within) in [(8, 1), (10, 0)] {
            let (mut calls, mut findings) = (Calls::default(), Findings::default());
            calls.opened(0, opened, 2, 0);
            calls.take(&outcome(9, 1), &mut findings);
            calls.take(&outcome(11, 2), &mut findings);
            assert_eq!(calls.within, within, "opened at {opened}");
        }
    }
    #[test]
    fn a_call_that_was_under_way_when_its_process_lost_the_partition_for_a_while_may_be_paid_again()
    {
        for (began, within) in [(90, 1), (110, 0)] {
            let (mut calls, mut findings) = (Calls::default(), Findings::default());
            calls.opened(0, 8, 1, 100);
            let mut first = outcome(9, 1);
            if let CallWhat::Outcome { started_at, .. } = &mut first.what {
                *started_at = began;
            }
            calls.take(&first, &mut findings);
            let mut again = outcome(10, 1);
            if let CallWhat::Outcome { started_at, attempt, .. } = &mut again.what {
                (*started_at, *attempt) = (120, Some(Uuid::from_u128(99)));
            }
            calls.take(&again, &mut findings);
            assert_eq!(calls.within, within, "began at {began}");
        }
    }
}
