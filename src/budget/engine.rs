//! The accounts that all events share: of the engine's day, and of each pipeline's day and total. One lock over all of
//! them, held for some additions: so all limits of a call are taken at once or none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Limits;
use super::account::{Account, Breach, figures};
use super::purse::EventPurse;
use crate::base::clock::Clock;
use crate::event::money::Money;
use crate::model::OverBudget;

/// Milliseconds of a UTC day.
const DAY: i64 = 86_400_000;
/// When a refusal may be over that comes from calls under way: they end within seconds, not at midnight.
const SOON: i64 = 1_000;

/// The accounts. Pure: time is an argument.
#[derive(Debug, Default)]
pub struct Book {
    day: i64,
    engine: Account,
    pipelines: HashMap<Arc<str>, Shared>,
}

/// A pipeline's accounts that its events share.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    day: Account,
    total: Account,
}

impl Book {
    /// With the engine's limit of a day.
    pub fn new(engine_per_day: Option<Money>, now: i64) -> Self {
        Book {
            day: now.div_euclid(DAY),
            engine: Account::new(engine_per_day),
            pipelines: HashMap::new(),
        }
    }

    /// A pipeline's limits; what is known of its spending stays.
    pub fn pipeline(&mut self, name: &Arc<str>, limits: &Limits) {
        let shared = self.pipelines.entry(Arc::clone(name)).or_default();
        shared.day.limit = limits.per_day;
        shared.total.limit = limits.total;
    }

    /// Counts what was spent at some time before, such as the amount of a cost event.
    pub fn spent_before(&mut self, pipeline: &str, at: i64, amount: Money, now: i64) {
        self.turn(now);
        let today = at.div_euclid(DAY) == self.day;
        if let Some(shared) = self.pipelines.get_mut(pipeline) {
            shared.total.spent += amount;
            if today {
                shared.day.spent += amount;
            }
        }
        if today {
            self.engine.spent += amount;
        }
    }

    /// Sets the ceiling aside under all limits, or says which it would pass.
    pub fn reserve(&mut self, pipeline: &str, ceiling: Money, now: i64) -> Result<(), OverBudget> {
        self.turn(now);
        let midnight = (self.day + 1) * DAY;
        let Some(shared) = self.pipelines.get_mut(pipeline) else { return Ok(()) };
        let limits = [
            ("engine.per_day", "the engine's limit of a day", &self.engine, Some(midnight)),
            ("per_day", "the pipeline's limit of a day", &shared.day, Some(midnight)),
            ("total", "the pipeline's total limit", &shared.total, None),
        ];
        for (limit, name, account, over) in limits {
            let Err(breach) = account.fits(ceiling) else { continue };
            let until = match breach {
                Breach::Spent => over,
                Breach::Held => Some(now + SOON),
            };
            return Err(refusal(limit, name, account, ceiling, until));
        }
        self.engine.hold(ceiling);
        shared.day.hold(ceiling);
        shared.total.hold(ceiling);
        Ok(())
    }

    /// Gives back what was not spent.
    pub fn settle(&mut self, pipeline: &str, ceiling: Money, spent: Money, now: i64) {
        self.turn(now);
        let Some(shared) = self.pipelines.get_mut(pipeline) else { return };
        self.engine.settle(ceiling, spent);
        shared.day.settle(ceiling, spent);
        shared.total.settle(ceiling, spent);
    }

    /// Starts the day anew; a clock set back does not.
    fn turn(&mut self, now: i64) {
        let day = now.div_euclid(DAY);
        if day > self.day {
            self.day = day;
            self.engine.spent = Money::ZERO;
            for shared in self.pipelines.values_mut() {
                shared.day.spent = Money::ZERO;
            }
        }
    }
}

/// The sentence of a refusal.
pub(super) fn refusal(
    limit: &'static str,
    name: &str,
    account: &Account,
    ceiling: Money,
    until: Option<i64>,
) -> OverBudget {
    let message = format!("a call of up to {ceiling} would pass {name}: {}", figures(account));
    OverBudget { limit, message, until }
}

/// The shared accounts behind their lock.
pub struct EngineBudget {
    book: Mutex<Book>,
    limited: bool,
    clock: Arc<dyn Clock>,
}

impl EngineBudget {
    /// With the engine's limit of a day, if any.
    pub fn new(per_day: Option<Money>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let book = Mutex::new(Book::new(per_day, clock.now()));
        Arc::new(EngineBudget { book, limited: per_day.is_some(), clock })
    }

    /// A pipeline's budget.
    pub fn pipeline(self: &Arc<Self>, name: &Arc<str>, limits: Limits) -> PipelineBudget {
        self.book().pipeline(name, &limits);
        PipelineBudget { engine: Arc::clone(self), name: Arc::clone(name), limits }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One pipeline's part of the budget.
#[derive(Clone)]
pub struct PipelineBudget {
    engine: Arc<EngineBudget>,
    name: Arc<str>,
    limits: Limits,
}

impl PipelineBudget {
    /// Counts what was spent before this process began: once per cost event of the pipeline, or per sum of a day.
    pub fn spent_before(&self, at: i64, amount: Money) {
        self.engine.book().spent_before(&self.name, at, amount, self.engine.clock.now());
    }

    /// The purse of one event.
    pub fn purse(&self) -> Arc<EventPurse> {
        Arc::new(EventPurse::new(self.clone(), self.limits.per_event))
    }

    pub(super) fn reserve(&self, ceiling: Money) -> Result<(), OverBudget> {
        self.engine.book().reserve(&self.name, ceiling, self.engine.clock.now())
    }

    pub(super) fn settle(&self, ceiling: Money, spent: Money) {
        self.engine.book().settle(&self.name, ceiling, spent, self.engine.clock.now());
    }

    pub(super) fn limited(&self) -> bool {
        let Limits { per_event, per_day, total } = self.limits;
        self.engine.limited || per_event.or(per_day).or(total).is_some()
    }
}

#[cfg(test)]
mod tests;
