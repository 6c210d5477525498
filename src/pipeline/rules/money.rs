//! Budgets, and the prices they depend on (S20).

use std::sync::Arc;

use crate::base::diagnostic::Place;
use crate::base::quantity::Amount;
use crate::base::yaml::Spanned;
use crate::event::money::Money;
use crate::pipeline::desk::Bench;
use crate::pipeline::plan::BudgetPlan;
use crate::pipeline::spec::{Reaction, Spec};
use crate::stage::Facts;

use super::stage::not_allowed;

/// The limits.
pub(in crate::pipeline) fn budget(spec: &Spec, bench: &mut Bench<'_>) -> BudgetPlan {
    let written = &spec.budget;
    let per_event = amount(written.per_event.as_ref(), bench);
    let per_day = amount(written.per_day.as_ref(), bench);
    let total = amount(written.total.as_ref(), bench);
    let wait = match &written.on_breach {
        None => true,
        Some(on_breach) => {
            if per_day.is_none() && total.is_none() {
                let message = "`on_breach` speaks of `per_day` and `total`, and neither is written";
                let help = "a call that would pass `per_event` always fails its event".to_owned();
                bench.warning(on_breach.place(), "budget-empty", message, Some(help));
            }
            match on_breach.value {
                Reaction::Wait => true,
                Reaction::Fail => false,
                Reaction::Skip | Reaction::Value(_) | Reaction::Model(_) => {
                    not_allowed(on_breach, "on_breach", "`fail` and `wait`", bench);
                    false
                }
            }
        }
    };
    BudgetPlan { per_event, per_day, total, wait }
}

fn amount(written: Option<&Spanned<Amount>>, bench: &mut Bench<'_>) -> Option<Money> {
    let written = written?;
    let Amount { decimal, currency } = &written.value;
    if **currency != *bench.known.currency {
        let message =
            format!("the amount is in {currency}, prices are in {}", bench.known.currency);
        let help = "one currency holds for settings and budgets".to_owned();
        bench.error(written.place(), "budget-currency", message, Some(help));
    }
    let money = decimal.parse::<Money>().ok()?;
    if money == Money::ZERO {
        let message = "a budget of nothing lets no call through";
        bench.error(written.place(), "out-of-range", message, None);
    }
    Some(money)
}

/// A missing price is a warning, an error where a budget depends on it.
pub(in crate::pipeline) fn prices(
    stage: &str,
    place: Place,
    facts: &[Facts],
    budget: &BudgetPlan,
    bench: &mut Bench<'_>,
) {
    let known = bench.known;
    if known.open {
        return;
    }
    let limited = known.budgeted
        || budget.per_event.is_some()
        || budget.per_day.is_some()
        || budget.total.is_some();
    let asked = facts.iter().flat_map(|facts| {
        let collection = facts.collection.as_ref().and_then(|name| known.collections.get(name));
        let embedder = collection.and_then(|collection| collection.embedder.clone());
        facts.models.iter().cloned().chain(embedder)
    });
    let mut unpriced: Vec<Arc<str>> = asked.filter(|model| !known.priced(model)).collect();
    unpriced.dedup();
    for model in unpriced {
        let help = format!("add it under `prices`, or write `price: free` at model `{model}`");
        match limited {
            true => {
                let message = format!(
                    "stage `{stage}` asks model `{model}`, whose price a budget depends on"
                );
                bench.error(place, "missing-price", message, Some(help));
            }
            false => {
                let message = format!("stage `{stage}` asks model `{model}`, which has no price");
                let help = format!("its cost will be unknown: {help}");
                bench.warning(place, "missing-price", message, Some(help));
            }
        }
    }
}
