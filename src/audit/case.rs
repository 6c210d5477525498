//! One event and what was found of it: the record that an audit keeps of each, and the judgement at the end.

use super::fact::{Due, Spot, Status};
use super::finding::{Check, Findings};
use super::terms::{Gone, Horizon, SinkTerms, Terms};
use crate::event::ids::EventId;
use crate::event::money::Money;
use crate::stream::Progress;

/// An event.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Partition of its record, or of a replay when its own record was not read.
    pub partition: i32,
    /// Offset of the same.
    pub offset: i64,
    /// Time of the same.
    pub timestamp: i64,
    /// What its own record must leave behind, when that was read.
    pub due: Option<Due>,
    /// Digest of key and value.
    pub bytes: u64,
    /// Of its own record.
    pub first: Left,
    /// Of all its replays.
    pub again: Left,
    /// Charges minus totals.
    pub balance: Money,
    /// Charges without a price minus what totals say of them.
    pub unpriced: i64,
    /// Whether every result said its total.
    pub totals: bool,
    /// Records published.
    pub published: u32,
    /// Whether there are charges.
    pub charged: bool,
}

/// What runs left behind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    pub answers: u16,
    pub failed: u16,
    pub letters: u16,
}

/// A replay of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again {
    pub partition: i32,
    pub offset: i64,
    pub due: Due,
}

impl Left {
    pub fn answer(&mut self, status: Status) {
        self.answers = self.answers.saturating_add(1);
        self.failed = self.failed.saturating_add(u16::from(status == Status::Failed));
    }

    pub fn letter(&mut self) {
        self.letters = self.letters.saturating_add(1);
    }
}

/// What the judgement of an event rests on.
pub(super) struct Bench<'a> {
    pub terms: &'a Terms,
    pub horizon: &'a Horizon,
    /// What was committed when everything had been read.
    pub after: &'a std::collections::BTreeMap<i32, Progress>,
    /// Where the group began, by partition, when that had to be found out.
    pub began: &'a dyn Fn(i32) -> Option<i64>,
    /// Whether inputs came that were not read.
    pub grew: bool,
}

impl Bench<'_> {
    /// Was done before anything was read, so all that it left is there.
    pub fn due(&self, partition: i32, offset: i64) -> bool {
        let begun = (self.began)(partition).is_some_and(|began| offset >= began);
        begun && self.terms.progress.get(&partition).is_some_and(|p| p.is_done(offset))
    }

    /// Is done now, so what it left may be there.
    pub fn may(&self, partition: i32, offset: i64) -> bool {
        self.after.get(&partition).is_some_and(|progress| progress.is_done(offset))
    }
}

impl Case {
    pub fn spot(&self, terms: &Terms) -> Spot {
        let topic = std::sync::Arc::clone(&terms.source);
        Spot { topic, partition: self.partition, offset: self.offset }
    }

    /// Whether it was done, with all replays, before anything was read, and its whole history was.
    pub fn is_closed(&self, bench: &Bench<'_>, again: &[Again]) -> bool {
        self.due.is_some()
            && bench.due(self.partition, self.offset)
            && again.iter().all(|again| bench.due(again.partition, again.offset))
    }

    /// C1, C2 and C6 of this event, and the sum of C7.
    pub fn judge(
        &self,
        event: EventId,
        again: &[Again],
        bench: &Bench<'_>,
        findings: &mut Findings,
    ) {
        if let Some(due) = self.due {
            self.own(event, due, bench, findings);
        }
        self.replays(event, again, bench, findings);
        let (answers, failed) =
            (self.first.answers + self.again.answers, self.first.failed + self.again.failed);
        if self.published > 0 && answers > 0 && answers == failed {
            let message = "a stage's record was published though the event failed";
            let spot = Some(self.spot(bench.terms));
            findings.add(Check::C1, "published-by-failed", spot, Some(event), message);
        }
        self.money(event, again, bench, findings);
    }

    /// What its own record left behind.
    fn own(&self, event: EventId, due: Due, bench: &Bench<'_>, findings: &mut Findings) {
        let spot = || Some(self.spot(bench.terms));
        let Left { answers, failed, letters } = self.first;
        let outputs = answers > 0 || letters > 0;
        if !bench.may(self.partition, self.offset) {
            if outputs || self.charged || self.published > 0 {
                let message = "it left something behind, though it is not committed as done";
                findings.add(Check::C6, "not-done", spot(), Some(event), message);
            }
            return;
        }
        if !bench.due(self.partition, self.offset) {
            return;
        }
        let sink = bench.terms.sink == SinkTerms::Results;
        let kept = |what| bench.horizon.keeps(what, self.timestamp);
        if matches!(due, Due::Result | Due::Perhaps) && sink && kept(Gone::Answers) {
            findings.judged(Check::C1, 1);
        }
        match due {
            Due::Result if sink && answers == 0 && kept(Gone::Answers) => {
                let message = "it is done, and there is no result";
                findings.add(Check::C1, "no-result", spot(), Some(event), message);
                return;
            }
            Due::Letter | Due::Nothing if answers > 0 => {
                let message = "there is a result, though it should have none";
                findings.add(Check::C1, "undue-result", spot(), Some(event), message);
                return;
            }
            _ => {}
        }
        if !kept(Gone::Letters) || (sink && !kept(Gone::Answers)) {
            return;
        }
        let (least, most) = match due {
            Due::Letter => (1, 1),
            Due::Nothing => (0, 0),
            // A failed result and its dead letter are written together.
            Due::Result | Due::Perhaps if sink => (failed.min(1), failed.min(1)),
            Due::Result | Due::Perhaps => (0, 1),
        };
        findings.judged(Check::C2, u64::from(most));
        if letters < least {
            let why = if due == Due::Letter { "can't be an event" } else { "failed" };
            let message = format!("it {why}, and there is no dead letter");
            findings.add(Check::C2, "no-dead-letter", spot(), Some(event), message);
        } else if letters > 0 && most == 0 {
            let message = "there is a dead letter, though it did not fail";
            findings.add(Check::C2, "undue-dead-letter", spot(), Some(event), message);
        }
    }

    /// What its replays left behind: which result belongs to which can't be told, so they are counted.
    fn replays(&self, event: EventId, again: &[Again], bench: &Bench<'_>, findings: &mut Findings) {
        let spot = |again: Option<&Again>| match again {
            Some(again) => Some(Spot {
                partition: again.partition,
                offset: again.offset,
                ..self.spot(bench.terms)
            }),
            None => Some(self.spot(bench.terms)),
        };
        let Left { answers, failed, letters } = self.again;
        let count = |wanted: &dyn Fn(&Again) -> bool| again.iter().filter(|a| wanted(a)).count();
        let sink = bench.terms.sink == SinkTerms::Results;
        let kept = |what| bench.horizon.keeps(what, self.timestamp);
        let due = |a: &Again| bench.due(a.partition, a.offset);
        let least = count(&|a| a.due == Due::Result && due(a));
        let most = count(&|a| {
            matches!(a.due, Due::Result | Due::Perhaps) && bench.may(a.partition, a.offset)
        });
        if sink && kept(Gone::Answers) {
            findings.judged(Check::C1, least as u64);
            if usize::from(answers) < least {
                let message = format!("{least} replays are done, and {answers} have a result");
                findings.add(Check::C1, "no-result", spot(again.last()), Some(event), message);
            }
        }
        // Replays beyond what was read may have been answered.
        let whole = !bench.grew && bench.terms.period.1.is_none();
        if whole && usize::from(answers) > most {
            let message = format!("{answers} results of replays, and {most} replays are done");
            findings.add(Check::C1, "result-twice", spot(again.last()), Some(event), message);
        }
        let settled = again.iter().all(due) && whole && kept(Gone::Letters) && kept(Gone::Answers);
        if !settled || usize::from(answers) != least {
            return;
        }
        let letters_due = count(&|a| a.due == Due::Letter) + usize::from(failed);
        if sink && usize::from(letters) != letters_due {
            let message =
                format!("{letters_due} replays failed, and there are {letters} dead letters");
            let code = if usize::from(letters) < letters_due {
                "no-dead-letter"
            } else {
                "undue-dead-letter"
            };
            findings.add(Check::C2, code, spot(again.last()), Some(event), message);
        }
    }

    /// Σ of its charges = Σ of its results' totals; adjustments stand outside.
    fn money(&self, event: EventId, again: &[Again], bench: &Bench<'_>, findings: &mut Findings) {
        let answers = matches!(self.due, Some(Due::Result | Due::Perhaps))
            && usize::from(self.first.answers) == 1
            && usize::from(self.again.answers) == again.len()
            && self.totals;
        let kept = [Gone::Answers, Gone::Charges];
        let kept = kept.into_iter().all(|what| bench.horizon.keeps(what, self.timestamp));
        if !answers || !kept || !self.is_closed(bench, again) {
            return;
        }
        findings.judged(Check::C7, 1);
        let spot = || Some(self.spot(bench.terms));
        if self.balance != Money::ZERO {
            let message =
                format!("its cost events differ by {} from the total in its result", self.balance);
            findings.add(Check::C7, "total", spot(), Some(event), message);
        }
        if self.unpriced != 0 {
            let message = format!(
                "its cost events without a price differ by {} from what its result counts",
                self.unpriced
            );
            findings.add(Check::C7, "unpriced-calls", spot(), Some(event), message);
        }
    }
}
