//! The price book: what a million tokens cost, by provider, model and date. Pure arithmetic in integers of a billionth;
//! an attempt's lines are summed first and rounded once, half to even.
//!
//! **What stands in for a price that is not given.** A cache read or write costs what input costs, reasoning costs what
//! output costs: providers that grant no discount bill so, and a discount we do not know of must not make a call look
//! cheaper than its bill. Output has no stand-in (embedding models have none): tokens of a part without a price leave the
//! whole attempt *unpriced*, never zero.

use std::collections::HashMap;
use std::sync::Arc;

use super::tokens::Estimate;
use crate::event::cost::CostLine;
use crate::event::money::Money;
use crate::event::usage::Usage;

/// Prices are per this many tokens.
pub const PER: i64 = 1_000_000;

/// Prices of one model from one moment on, per million tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// First moment it holds, milliseconds since the epoch.
    pub from: i64,
    /// Prompt tokens.
    pub input: Money,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: Option<Money>,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: Option<Money>,
    /// Tokens of the answer.
    pub output: Option<Money>,
    /// Tokens of hidden reasoning.
    pub reasoning: Option<Money>,
}

/// All prices of a settings file.
#[derive(Clone, Debug, Default)]
pub struct PriceBook {
    entries: HashMap<String, Arc<[Price]>>,
    catalogue: Option<Arc<str>>,
}

/// What one model costs.
#[derive(Clone, Debug)]
pub struct Pricing {
    /// Ascending by `from`.
    prices: Arc<[Price]>,
    catalogue: Option<Arc<str>>,
}

/// A call's money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Sum of the lines; none when a part has no price.
    pub amount: Option<Money>,
    /// One line a part.
    pub lines: Vec<CostLine>,
}

impl PriceBook {
    /// From `provider/model` and its dated prices, in any order. `catalogue` names this version of the book.
    pub fn new(
        entries: impl IntoIterator<Item = (String, Vec<Price>)>,
        catalogue: Option<Arc<str>>,
    ) -> Self {
        let sorted = |(name, mut prices): (String, Vec<Price>)| {
            prices.sort_by_key(|price| price.from);
            (name, prices.into())
        };
        PriceBook { entries: entries.into_iter().map(sorted).collect(), catalogue }
    }

    /// What `provider/model` costs; nothing is known of one that is not in the book.
    pub fn pricing(&self, provider: &str, model: &str) -> Pricing {
        let prices = self.entries.get(&format!("{provider}/{model}"));
        let prices = prices.cloned().unwrap_or_else(|| Arc::from([]));
        Pricing { prices, catalogue: self.catalogue.clone() }
    }
}

impl Pricing {
    /// Free: zero is its price.
    pub fn free() -> Self {
        let free = Price { from: i64::MIN, output: Some(Money::ZERO), ..Price::default() };
        Pricing { prices: Arc::from([free]), catalogue: None }
    }

    /// The price that holds at a moment: the latest `from` that is not after it.
    pub fn at(&self, moment: i64) -> Option<&Price> {
        let known = self.prices.partition_point(|price| price.from <= moment);
        self.prices.get(known.checked_sub(1)?)
    }

    /// Whether no price holds, at any time.
    pub fn is_unknown(&self) -> bool {
        self.prices.is_empty()
    }

    /// The version of the book.
    pub fn catalogue(&self) -> Option<&Arc<str>> {
        self.catalogue.as_ref()
    }
}

impl Price {
    fn of(&self, unit: &str) -> Option<Money> {
        match unit {
            "input_tokens" => Some(self.input),
            "cache_read_tokens" => Some(self.cache_read.unwrap_or(self.input)),
            "cache_write_tokens" => Some(self.cache_write.unwrap_or(self.input)),
            "output_tokens" => self.output,
            "reasoning_tokens" => self.reasoning.or(self.output),
            _ => None,
        }
    }

    /// The usage that costs most within an estimate, and its charge: input at the dearest of its kinds, output too.
    pub fn ceiling(&self, estimate: &Estimate) -> Charge {
        let mut usage = Usage::default();
        if self.cache_write.is_some_and(|price| price > self.input) {
            usage.cache_write = estimate.input_upper;
        } else {
            usage.input = estimate.input_upper;
        }
        if self.reasoning > self.output {
            usage.reasoning = estimate.output_upper;
        } else {
            usage.output = estimate.output_upper;
        }
        charge(Some(self), &usage)
    }
}

/// What so many tokens cost.
pub fn charge(price: Option<&Price>, usage: &Usage) -> Charge {
    let mut lines = Vec::new();
    let mut sum = Some(0i128);
    for (unit, tokens) in usage.parts() {
        let quantity = i64::try_from(tokens).unwrap_or(i64::MAX);
        let unit_price = price.and_then(|price| price.of(unit));
        sum = match (sum, unit_price) {
            (Some(sum), Some(price)) => {
                price.0.checked_mul(i128::from(quantity)).and_then(|line| sum.checked_add(line))
            }
            _ => None,
        };
        lines.push(CostLine { unit: unit.into(), quantity, unit_price, per: PER });
    }
    let known = if price.is_some() { sum } else { None };
    Charge { amount: known.map(|sum| Money(sum).times(1, i128::from(PER))), lines }
}

#[cfg(test)]
mod tests;
