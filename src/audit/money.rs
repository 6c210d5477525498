//! C7: every attempt is told once, as the journal has it, and as the provider has it.

use std::collections::HashMap;

use uuid::Uuid;

use super::calls::{Call, CallWhat};
use super::fact::{Charge, Entry, Spot};
use super::finding::{Check, Findings};
use crate::event::ids::EventId;
use crate::event::money::Money;

/// The attempts: some 100 bytes each.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    known: HashMap<Uuid, Attempt>,
    /// Adjustments by what they correct: rare.
    adjustments: HashMap<Uuid, Adjustment>,
    ledger: Option<HashMap<String, Line>>,
}

#[derive(Debug)]
struct Attempt {
    event: EventId,
    charge: Option<Option<Money>>,
    unsettled: bool,
    journal: Journaled,
    /// Told when the partition was somebody else's.
    late: bool,
}

#[derive(Debug)]
struct Adjustment {
    spot: Spot,
    event: EventId,
    amount: Option<Money>,
    unsettled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Journaled {
    Not,
    Announced,
    Ended(Option<Money>),
}

/// One call, by both accounts.
#[derive(Debug, Default)]
struct Line {
    spot: Option<Spot>,
    charges: u32,
    unsettled: u32,
    charged: (i64, i64),
    delivered: u32,
    provided: (i64, i64),
}

impl Attempts {
    /// Attempts that are held.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// From here on the provider's ledger is compared too.
    pub fn with_ledger(&mut self) {
        self.ledger.get_or_insert_default();
    }

    /// Takes a cost event. False when its attempt was told before.
    pub fn charge(&mut self, charge: &Charge, findings: &mut Findings) -> bool {
        let Charge { spot, event, attempt, amount, unsettled, .. } = charge;
        findings.judged(Check::C7, 1);
        let known = self.known.entry(*attempt).or_insert(Attempt {
            event: *event,
            charge: None,
            unsettled: *unsettled,
            journal: Journaled::Not,
            late: false,
        });
        if known.charge.replace(*amount).is_some() {
            let message = format!("attempt {attempt} is told once more");
            findings.add(Check::C7, "cost-twice", Some(spot.clone()), Some(*event), message);
            return false;
        }
        known.unsettled = *unsettled;
        if let Some(adjusts) = charge.adjusts {
            known.journal = Journaled::Announced;
            let (spot, event, amount, unsettled) = (spot.clone(), *event, *amount, *unsettled);
            self.adjustments.insert(adjusts, Adjustment { spot, event, amount, unsettled });
        }
        if let (Some(ledger), Some((asked, answered))) = (&mut self.ledger, charge.tokens) {
            let line = ledger.entry(charge.call.clone()).or_default();
            line.spot.get_or_insert_with(|| spot.clone());
            line.charges += u32::from(asked > 0 && !unsettled);
            line.unsettled += u32::from(*unsettled);
            line.charged.0 += asked.cast_signed();
            line.charged.1 += answered.cast_signed();
        }
        true
    }

    /// Takes a line of the provider's ledger.
    pub fn entry(&mut self, entry: &Entry) {
        let Some(ledger) = self.ledger.as_mut().filter(|_| entry.delivered) else { return };
        // Its last parts are the attempt, which a run after a death counts anew, and a digest of the body, which a cost
        // event has not.
        let call = entry.key.rsplit_once('/').and_then(|(rest, _)| rest.rsplit_once('/'));
        let Some((call, _)) = call else { return };
        let line = ledger.entry(call.to_owned()).or_default();
        line.delivered += 1;
        line.provided.0 += entry.tokens.0.cast_signed();
        line.provided.1 += entry.tokens.1.cast_signed();
    }

    /// Takes a record of the journal; `late` when the partition was somebody else's by then.
    pub fn call(&mut self, call: &Call, late: bool) {
        let (attempt, journal) = match call.what {
            CallWhat::Intent { attempt, .. } => (attempt, Journaled::Announced),
            CallWhat::Withdrawn { attempt } => {
                if let Some(known) = self.known.get_mut(&attempt) {
                    known.journal = Journaled::Not;
                }
                return;
            }
            CallWhat::Outcome { attempt: Some(attempt), amount, .. } => {
                (attempt, Journaled::Ended(amount))
            }
            CallWhat::Other | CallWhat::Outcome { attempt: None, .. } => return,
        };
        let event = call.event;
        let (charge, unsettled) = (None, false);
        // By the first that is told of it: whoever takes over charges what was announced by then.
        let fresh = Attempt { event, charge, unsettled, journal: Journaled::Not, late };
        let known = self.known.entry(attempt).or_insert(fresh);
        // An intent that was sent again does not undo an outcome.
        if !matches!(known.journal, Journaled::Ended(_)) {
            known.journal = journal;
        }
    }

    /// Compares. `closed` says where an event stands whose whole history was read; `journaled` whether its journal was.
    pub fn judge(
        &self,
        closed: &dyn Fn(EventId) -> Option<Spot>,
        journaled: Option<&dyn Fn(EventId) -> bool>,
        strict: bool,
        findings: &mut Findings,
    ) {
        for (adjusts, Adjustment { spot, event, .. }) in &self.adjustments {
            // A call that was told late has no charge of its own.
            let known = self.known.get(adjusts);
            let there = known.is_some_and(|a| a.charge.is_some() || a.journal != Journaled::Not);
            if !there && closed(*event).is_some() && journaled.is_some_and(|it| it(*event)) {
                let message = format!(
                    "it corrects attempt {adjusts}, of which neither a charge nor the journal tells"
                );
                let spot = Some(spot.clone());
                findings.add(Check::C7, "adjusts-nothing", spot, Some(*event), message);
            }
        }
        if let Some(journaled) = journaled {
            let (mut lost, mut late) = (0_u64, 0_u64);
            for (id, attempt) in &self.known {
                // Nobody waits for the journal before an event is committed: a death may take its last records along.
                if !strict && attempt.charge.is_some() && attempt.journal == Journaled::Not {
                    lost += 1;
                    continue;
                }
                // Nor for what is told when its event is somebody else's: he looks for that, as long as he lives.
                let told = attempt.charge.is_some() || self.adjustments.contains_key(id);
                if !strict && attempt.late && !told {
                    late += 1;
                    continue;
                }
                if journaled(attempt.event)
                    && let Some(spot) = closed(attempt.event)
                {
                    attempt.judge(*id, self.adjustments.get(id), spot, findings);
                }
            }
            if late > 0 {
                let message = format!(
                    "{late} calls ended when their process had lost the partition, and no cost event tells of them"
                );
                findings.note(Check::C7, message);
            }
            if lost > 0 {
                let message = format!(
                    "{lost} calls are not in the journal: it is older, or a death took its last records along"
                );
                findings.note(Check::C7, message);
            }
        }
        let (mut untold, mut open) = (0, 0);
        for (call, line) in self.ledger.iter().flatten() {
            let event = call.split('/').next().and_then(|id| id.parse::<EventId>().ok());
            let Some((event, spot)) = event.and_then(|e| Some((e, closed(e)?))) else { continue };
            findings.judged(Check::C7, 1);
            let spot = Some(line.spot.clone().unwrap_or(spot));
            if line.delivered > line.charges + line.unsettled {
                untold += 1;
                if strict {
                    let message = format!(
                        "the provider answered `{call}` {} times, and {} are told",
                        line.delivered,
                        line.charges + line.unsettled
                    );
                    findings.add(Check::C7, "untold-call", spot, Some(event), message);
                }
            } else if line.delivered < line.charges {
                let message = format!(
                    "{} cost events tell of `{call}`, which the provider answered {} times",
                    line.charges, line.delivered
                );
                findings.add(Check::C7, "unlike-provider", spot, Some(event), message);
            } else if line.unsettled > 0 {
                open += 1;
            } else if line.charged != line.provided {
                let message = format!(
                    "`{call}` has {} + {} tokens by its cost events and {} + {} by the provider",
                    line.charged.0, line.charged.1, line.provided.0, line.provided.1
                );
                findings.add(Check::C7, "unlike-provider", spot, Some(event), message);
            }
        }
        if untold > 0 && !strict {
            findings.note(
                Check::C7,
                format!("{untold} answers of the provider are not told: calls in flight at a death, whose intent was lost with it"),
            );
        }
        if open > 0 {
            findings.note(Check::C7, format!("{open} calls are told at their ceiling, unsettled"));
        }
    }
}

impl Attempt {
    fn judge(&self, id: Uuid, adjusted: Option<&Adjustment>, spot: Spot, findings: &mut Findings) {
        let mut wrong = |code, message| {
            findings.add(Check::C7, code, Some(spot.clone()), Some(self.event), message);
        };
        // A call that was told late, was told as an adjustment of nothing.
        let paid = match (self.charge, adjusted.map(|it| it.amount)) {
            (Some(Some(charge)), Some(Some(difference))) => Some(Some(charge + difference)),
            (charge, late) => charge.or(late),
        };
        let unsettled = adjusted.map_or(self.unsettled, |it| it.unsettled);
        match (paid, self.journal) {
            (None, Journaled::Ended(_)) => {
                wrong(
                    "no-cost",
                    format!("attempt {id} ended by the journal, and no cost event tells of it"),
                );
            }
            (None, Journaled::Announced) => {
                wrong(
                    "no-cost",
                    format!("attempt {id} left by the journal, and no cost event tells of it"),
                );
            }
            (Some(_), Journaled::Not) => {
                wrong(
                    "not-journaled",
                    format!("attempt {id} was paid, and the journal knows nothing of it"),
                );
            }
            (Some(paid), Journaled::Ended(amount)) if paid != amount && !unsettled => {
                let shown =
                    |amount: Option<Money>| amount.map_or("no price".to_owned(), |a| a.to_string());
                let message = format!(
                    "attempt {id} cost {} by its cost events and {} by the journal",
                    shown(paid),
                    shown(amount)
                );
                wrong("unlike-journal", message);
            }
            _ => {}
        }
    }
}
