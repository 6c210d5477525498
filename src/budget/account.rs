//! One limit: what it allows, what is spent and what is set aside. Pure.

use crate::event::money::Money;

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// Spending against one limit.
#[derive(Debug, Clone)]
pub struct Account {
    name: &'static str,
    limit: Money,
    /// Whether it starts anew with each UTC day.
    daily: bool,
    day: i64,
    spent: Money,
    held: Money,
}

/// A limit that would be passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The limit's name.
    pub name: &'static str,
    /// What it allows.
    pub limit: Money,
    /// What is spent.
    pub spent: Money,
    /// What calls under way have set aside.
    pub held: Money,
    /// What was asked for.
    pub asked: Money,
    /// When it starts anew, milliseconds since the epoch.
    pub until: Option<i64>,
}

impl Account {
    /// A limit that starts anew with each UTC day; `spent` today, before now.
    pub fn daily(name: &'static str, limit: Money, spent: Money, now: i64) -> Self {
        let day = now.div_euclid(DAY);
        Account { name, limit, daily: true, day, spent, held: Money::ZERO }
    }

    /// A limit for good.
    pub fn total(name: &'static str, limit: Money, spent: Money) -> Self {
        Account { name, limit, daily: false, day: 0, spent, held: Money::ZERO }
    }

    /// Whether an amount could be set aside; `now` in milliseconds since the epoch.
    pub fn check(&mut self, amount: Money, now: i64) -> Result<(), Breach> {
        self.turn(now);
        match self.spent + self.held + amount <= self.limit {
            true => Ok(()),
            false => Err(Breach {
                name: self.name,
                limit: self.limit,
                spent: self.spent,
                held: self.held,
                asked: amount,
                until: self.daily.then_some((self.day + 1) * DAY),
            }),
        }
    }

    /// Sets an amount aside; only after [`Account::check`] allowed it.
    pub fn hold(&mut self, amount: Money) {
        self.held += amount;
    }

    /// Gives a hold back and books what was spent, on the day it is now.
    pub fn settle(&mut self, held: Money, spent: Money, now: i64) {
        self.turn(now);
        self.held = self.held - held;
        self.spent += spent;
    }

    /// What is spent of the limit's current span.
    pub fn spent(&self) -> Money {
        self.spent
    }

    /// What is set aside.
    pub fn held(&self) -> Money {
        self.held
    }

    /// Starts a new day when one has begun. Time that goes back starts nothing.
    fn turn(&mut self, now: i64) {
        let today = now.div_euclid(DAY);
        if self.daily && today > self.day {
            self.day = today;
            self.spent = Money::ZERO;
        }
    }
}

#[cfg(test)]
mod tests;
