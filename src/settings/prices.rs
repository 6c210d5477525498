//! `prices`: what models cost, by date.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::desk::Desk;
use crate::base::clock::parse_time;
use crate::base::quantity::Amount;
use crate::base::yaml::{Spanned, Tree};
use crate::model::price::{Price, PriceBook};

/// Hexadecimal digits of a catalogue's digest.
const DIGEST: usize = 16;

/// The price list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// Prices of `provider/model`, oldest first.
    pub of: BTreeMap<Arc<str>, Vec<Price>>,
    /// Digest of the block; none when there is none.
    pub catalogue: Option<Arc<str>>,
}

impl Prices {
    /// As the models are given it.
    pub fn book(&self) -> PriceBook {
        let entries = self.of.iter().map(|(name, prices)| (name.to_string(), prices.clone()));
        PriceBook::new(entries, self.catalogue.clone())
    }

    /// Whether `provider/model` has a price at all.
    pub fn has(&self, key: &str) -> bool {
        self.of.contains_key(key)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceSpec {
    from: Spanned<String>,
    input: Spanned<Amount>,
    cache_read: Option<Spanned<Amount>>,
    cache_write: Option<Spanned<Amount>>,
    output: Option<Spanned<Amount>>,
    reasoning: Option<Spanned<Amount>>,
}

/// Reads `prices`; gives the names of the models back, for a check against those in use.
pub(super) fn read(desk: &mut Desk<'_>, tree: &Tree) -> (Prices, Vec<Spanned<String>>) {
    let mut prices = Prices::default();
    let mut names = Vec::new();
    for (name, tree) in desk.named("prices", tree) {
        if !matches!(name.value.split_once('/'), Some((provider, model)) if !provider.is_empty() && !model.is_empty())
        {
            let message = format!("`{}` is no model of a provider", name.value);
            desk.error(name.place(), "bad-value", message, Some("write `provider/model`"));
            continue;
        }
        let Some(specs) = desk.under::<Vec<PriceSpec>>(name, tree) else { continue };
        let mut list: Vec<Price> = Vec::new();
        for spec in specs {
            let place = spec.from.place();
            let Some(price) = price(desk, spec) else { continue };
            if list.iter().any(|other| other.from == price.from) {
                let message = format!("two prices of `{}` begin at the same time", name.value);
                desk.error(place, "duplicate-price", message, Some("keep one"));
                continue;
            }
            list.push(price);
        }
        list.sort_by_key(|price| price.from);
        if !list.is_empty() {
            prices.of.insert(name.value.as_str().into(), list);
            names.push(name.clone());
        }
    }
    let digest = blake3::hash(tree.to_json().to_string().as_bytes()).to_hex();
    prices.catalogue = digest.get(..DIGEST).map(Arc::from);
    (prices, names)
}

fn price(desk: &mut Desk<'_>, spec: PriceSpec) -> Option<Price> {
    let Some(from) = parse_time(&spec.from.value) else {
        let message = format!("`{}` is no time", spec.from.value);
        let help = "write a day such as `2026-01-31`, or a time such as `2026-01-31T08:00:00Z`";
        desk.error(spec.from.place(), "bad-value", message, Some(help));
        return None;
    };
    let mut money = |amount: Option<Spanned<Amount>>| amount.and_then(|amount| desk.money(&amount));
    Some(Price {
        from,
        input: money(Some(spec.input))?,
        cache_read: money(spec.cache_read),
        cache_write: money(spec.cache_write),
        output: money(spec.output),
        reasoning: money(spec.reasoning),
    })
}
