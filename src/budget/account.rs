//! One limit and what became of it. Pure.

use crate::event::money::Money;

/// A limit's state. Without a limit it only counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Never passed by spent and held together.
    pub limit: Option<Money>,
    /// Settled.
    pub spent: Money,
    /// Set aside.
    pub held: Money,
}

/// Why a limit refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// It is used up: what is spent leaves too little.
    Spent,
    /// What is set aside for calls under way leaves too little; some of it will come back.
    Held,
}

impl Account {
    /// Of this limit.
    pub fn new(limit: Option<Money>) -> Self {
        Account { limit, ..Account::default() }
    }

    /// Whether the ceiling fits.
    pub fn fits(&self, ceiling: Money) -> Result<(), Breach> {
        match self.limit {
            Some(limit) if self.spent + ceiling > limit => Err(Breach::Spent),
            Some(limit) if self.spent + self.held + ceiling > limit => Err(Breach::Held),
            _ => Ok(()),
        }
    }

    /// Sets aside; the caller has seen that it fits.
    pub fn hold(&mut self, ceiling: Money) {
        self.held += ceiling;
    }

    /// Gives back what was set aside and counts what was spent.
    pub fn settle(&mut self, ceiling: Money, spent: Money) {
        self.held = self.held - ceiling;
        self.spent += spent;
    }
}

/// `0.02 of 0.05 spent, 0.01 set aside`: the figures of a refusal.
pub(super) fn figures(account: &Account) -> String {
    let limit = account.limit.unwrap_or_default();
    let mut text = format!("{} of {limit} are spent", account.spent);
    if account.held != Money::ZERO {
        text.push_str(&format!(", {} are set aside for calls under way", account.held));
    }
    text
}
