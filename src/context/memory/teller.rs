//! A teller: calls that belong to no event, such as those of an import, and what they came to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::event::cost::Attempt;
use crate::event::ids::{EventId, StageKey};
use crate::event::money::Money;
use crate::model::{Call, Hold, Meter, OverBudget, Purse};

/// Sums up calls. No budget stands behind it: who starts an import by hand has decided to pay.
#[derive(Debug, Default)]
pub struct Teller(Mutex<Sum>);

/// What calls came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub attempts: u64,
    /// Money of those with a price.
    pub amount: Money,
    /// How many had no price.
    pub unpriced: u64,
}

impl Teller {
    /// A call that this teller takes down; `purpose` stands where an event's call has its stage.
    pub fn call(self: &Arc<Self>, purpose: &str, tenant: &str, within: Duration) -> Call {
        Call {
            key: StageKey { event: EventId(Uuid::nil()), stage: purpose.into(), item: None },
            attempt: 1,
            deadline: Instant::now() + within,
            tenant: tenant.into(),
            traceparent: None,
            meter: Arc::clone(self) as Arc<dyn Meter>,
            purse: Arc::clone(self) as Arc<dyn Purse>,
            journal: Arc::default(),
            halt: Arc::default(),
        }
    }

    /// The sum so far.
    pub fn sum(&self) -> Sum {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter for Teller {
    fn record(&self, attempt: Attempt) {
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sum.attempts += 1;
        match attempt.amount {
            Some(amount) => sum.amount += amount,
            None => sum.unpriced += 1,
        }
    }
}

impl Purse for Teller {
    fn reserve(&self, ceiling: Money) -> Result<Hold, OverBudget> {
        Ok(Hold(ceiling))
    }
    fn settle(&self, _hold: Hold, _spent: Money) {}
    fn limited(&self) -> bool {
        false
    }
}
