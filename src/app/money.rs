//! The money of each pipeline at the start: its limits, the engine's, and what was spent of them before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::promises::Site;
use super::spent::{self, Spent};
use crate::budget::{Account, ENGINE_PER_DAY, Limits, Wallet};
use crate::event::money::Money;
use crate::pipeline::plan::Plan;
use crate::stage::StageKind;
use crate::stream::{Log, StreamError};

/// The money of each pipeline: its own limits, and the engine's.
pub async fn wallets(
    site: &Site<'_>,
    log: &dyn Log,
    plans: &[Plan<StageKind>],
) -> Result<HashMap<Arc<str>, Arc<Wallet>>, StreamError> {
    let Site { settings, codecs, clock, .. } = site;
    let now = clock.now();
    let daily = settings.per_day.is_some() || plans.iter().any(|p| p.budget.per_day.is_some());
    let total = plans.iter().any(|plan| plan.budget.total.is_some());
    let spent = match plans.first().filter(|_| daily || total) {
        Some(plan) => {
            let codec = codecs.for_topic(&plan.costs);
            spent::sum(log, &plan.costs, &*codec, spent::day_of(now), total).await?
        }
        None => Spent::default(),
    };
    let shared = |account| Arc::new(Mutex::new(account));
    let engine = settings
        .per_day
        .map(|limit| shared(Account::daily(ENGINE_PER_DAY, limit, spent.today(), now)));
    let wallet = |plan: &Plan<StageKind>| {
        let sums = spent.pipelines.get(&*plan.name).copied().unwrap_or_default();
        let day = |limit: Money| shared(Account::daily("per_day", limit, sums.today, now));
        let ever = |limit: Money| shared(Account::total("total", limit, sums.total));
        let accounts = plan.budget.per_day.map(day).into_iter();
        let accounts = accounts.chain(plan.budget.total.map(ever)).chain(engine.clone());
        let limits = Limits { per_event: plan.budget.per_event, accounts: accounts.collect() };
        Arc::new(Wallet::new(limits, Arc::clone(&settings.currency), Arc::clone(clock)))
    };
    Ok(plans.iter().map(|plan| (Arc::clone(&plan.name), wallet(plan))).collect())
}
