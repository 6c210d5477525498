//! One event's purse: its own limit in front of the shared ones.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::account::{Account, figures};
use super::engine::PipelineBudget;
use crate::event::money::Money;
use crate::model::{Hold, OverBudget, Purse};

/// See the module. Dropped, it gives back what nobody settled.
pub struct EventPurse {
    shared: PipelineBudget,
    own: Mutex<Account>,
}

impl EventPurse {
    pub(super) fn new(shared: PipelineBudget, per_event: Option<Money>) -> Self {
        EventPurse { shared, own: Mutex::new(Account::new(per_event)) }
    }

    /// What the event has spent, and set aside.
    pub fn account(&self) -> Account {
        *self.own()
    }

    /// Counts what an earlier run of the event was billed for, such as calls read back from the journal; the shared
    /// limits have counted it already.
    pub fn spent_before(&self, amount: Money) {
        self.own().spent += amount;
    }

    fn own(&self) -> MutexGuard<'_, Account> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Purse for EventPurse {
    fn reserve(&self, ceiling: Money) -> Result<Hold, OverBudget> {
        let mut own = self.own();
        if own.fits(ceiling).is_err() {
            let message = format!(
                "a call of up to {ceiling} would pass the limit of an event: {}",
                figures(&own)
            );
            return Err(OverBudget { limit: "per_event", message, until: None });
        }
        self.shared.reserve(ceiling)?;
        own.hold(ceiling);
        Ok(Hold(ceiling))
    }

    fn settle(&self, hold: Hold, spent: Money) {
        self.own().settle(hold.0, spent);
        self.shared.settle(hold.0, spent);
    }

    fn limited(&self) -> bool {
        self.shared.limited()
    }
}

impl Drop for EventPurse {
    fn drop(&mut self) {
        let own = *self.own();
        if own.held != Money::ZERO {
            self.shared.settle(own.held, Money::ZERO);
        }
    }
}
