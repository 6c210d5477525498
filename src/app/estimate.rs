//! About what a backlog will cost, said before it is worked off: prompts as they are written plus one event of the size
//! of those that wait, and answers as long as `max_tokens` allows. A condition that skips a stage makes it less, a list
//! under `each` or long passages make it more; a budget holds either way.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::event::money::Money;
use crate::model::price::{PriceBook, Pricing};
use crate::model::tokens::Estimate as Tokens;
use crate::pipeline::plan::Plan;
use crate::settings::Settings;
use crate::stage::StageKind;

/// Bytes of text that a token is worth.
const TOKEN: u64 = 4;

/// What one event of a pipeline may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// Of every call that has a price.
    pub per_event: Money,
    /// `provider/model` of calls that have none.
    pub unpriced: BTreeSet<String>,
    /// The pipeline's limit for one event: no estimate is above it.
    pub limit: Option<Money>,
    /// Currency.
    pub currency: Arc<str>,
}

/// Of events that are so large; `now` in milliseconds since the epoch.
pub fn of(plan: &Plan<StageKind>, settings: &Settings, event_bytes: u64, now: i64) -> Estimate {
    let book = settings.prices.book();
    let mut estimate = Estimate {
        per_event: Money::ZERO,
        unpriced: BTreeSet::new(),
        limit: plan.budget.per_event,
        currency: Arc::clone(&settings.currency),
    };
    for stage in &plan.stages {
        let facts = stage.kind.facts();
        let input = facts.written_tokens + event_bytes.div_ceil(TOKEN);
        let output_upper = facts.max_tokens.unwrap_or(0).into();
        let tokens = Tokens { input_upper: input, input_likely: input, output_upper };
        for model in &facts.models {
            estimate.add(settings, &book, model, &tokens, now);
        }
    }
    estimate
}

impl Estimate {
    /// One call: by the dearest member of a route.
    fn add(
        &mut self,
        settings: &Settings,
        book: &PriceBook,
        model: &Arc<str>,
        tokens: &Tokens,
        now: i64,
    ) {
        let members = settings.models.get(model).map(|model| model.members()).unwrap_or_default();
        let mut dearest = Money::ZERO;
        for member in members {
            let pricing = match member.free && !settings.prices.has(&member.key()) {
                true => Pricing::free(),
                false => book.pricing(&member.provider, &member.model),
            };
            let amount = pricing.at(now).and_then(|price| price.ceiling(tokens).amount);
            match amount {
                Some(amount) => dearest = dearest.max(amount),
                None => {
                    self.unpriced.insert(member.key());
                }
            }
        }
        self.per_event += dearest;
    }

    /// In words, of so many records.
    pub fn told(&self, records: i64) -> Told<'_> {
        Told { estimate: self, records }
    }
}

/// See [`Estimate::told`].
pub struct Told<'e> {
    estimate: &'e Estimate,
    records: i64,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Estimate { per_event, unpriced, limit, currency } = self.estimate;
        let all = |each: Money| each.times(i128::from(self.records), 1);
        let capped = limit.map_or(*per_event, |limit| limit.min(*per_event));
        match (*per_event, unpriced.is_empty()) {
            (Money::ZERO, true) => f.write_str("at no cost")?,
            (Money::ZERO, false) => f.write_str("at a cost that is not known")?,
            _ => write!(
                f,
                "about {} {currency} with every answer as long as `max_tokens` allows",
                all(capped)
            )?,
        }
        if !unpriced.is_empty() {
            let names: Vec<&str> = unpriced.iter().map(String::as_str).collect();
            write!(f, " (no price for `{}`)", names.join("`, `"))?;
        }
        if let Some(limit) = limit {
            write!(f, ", at most {} {currency} by `budget.per_event`", all(*limit))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
