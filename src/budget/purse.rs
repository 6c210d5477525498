//! Whose money a call spends: the limits of its event, its pipeline and the engine, all of which must allow it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::account::{Account, Breach};
use crate::base::clock::Clock;
use crate::event::money::Money;
use crate::model::{Hold, OverBudget, Purse};

/// Name of the limit of one event: what it spent never comes back.
const PER_EVENT: &str = "per_event";
/// Name of the limit of the whole engine's day: reached, it pauses every pipeline.
pub const ENGINE_PER_DAY: &str = "engine.per_day";

/// The limits of one pipeline, and the part of them that is shared with others.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Of one event.
    pub per_event: Option<Money>,
    /// Accounts of the pipeline and of the engine: all must allow a call.
    pub accounts: Vec<Arc<Mutex<Account>>>,
}

/// Makes purses for the events of one pipeline.
pub struct Wallet {
    limits: Limits,
    currency: Arc<str>,
    clock: Arc<dyn Clock>,
}

impl Wallet {
    /// With these limits.
    pub fn new(limits: Limits, currency: Arc<str>, clock: Arc<dyn Clock>) -> Self {
        Wallet { limits, currency, clock }
    }

    /// The purse of one event.
    pub fn event(self: &Arc<Self>) -> EventPurse {
        let limit = self.limits.per_event;
        let own = limit.map(|limit| Mutex::new(Account::total(PER_EVENT, limit, Money::ZERO)));
        EventPurse { wallet: Arc::clone(self), own }
    }
}

/// The money of one event.
pub struct EventPurse {
    wallet: Arc<Wallet>,
    own: Option<Mutex<Account>>,
}

impl Purse for EventPurse {
    fn reserve(&self, ceiling: Money) -> Result<Hold, OverBudget> {
        let now = self.wallet.clock.now();
        // All locks before the first hold: either every account sets it aside or none. Always in the same order.
        let mut accounts: Vec<MutexGuard<'_, Account>> = self.accounts().map(lock).collect();
        for account in &mut accounts {
            account.check(ceiling, now).map_err(|breach| self.told(&breach))?;
        }
        accounts.iter_mut().for_each(|account| account.hold(ceiling));
        Ok(Hold(ceiling))
    }

    fn settle(&self, hold: Hold, spent: Money) {
        let now = self.wallet.clock.now();
        for account in self.accounts() {
            lock(account).settle(hold.0, spent, now);
        }
    }

    fn limited(&self) -> bool {
        self.own.is_some() || !self.wallet.limits.accounts.is_empty()
    }
}

impl EventPurse {
    fn accounts(&self) -> impl Iterator<Item = &Mutex<Account>> {
        let shared = self.wallet.limits.accounts.iter().map(|account| &**account);
        self.own.iter().chain(shared)
    }

    fn told(&self, breach: &Breach) -> OverBudget {
        OverBudget {
            limit: breach.name,
            message: Told { breach, currency: &self.wallet.currency }.to_string(),
            until: breach.until,
            for_good: breach.name == PER_EVENT || breach.asked > breach.limit,
        }
    }
}

struct Told<'a> {
    breach: &'a Breach,
    currency: &'a str,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Breach { name, limit, spent, held, asked, .. } = self.breach;
        let currency = self.currency;
        write!(
            f,
            "budget `{name}` of {limit} {currency} does not allow a call of up to {asked} {currency}: \
             {spent} are spent, {held} are set aside"
        )
    }
}

fn lock(account: &Mutex<Account>) -> MutexGuard<'_, Account> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}
