use proptest::prelude::*;

use super::*;

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn mini() -> Price {
    Price {
        from: 100,
        input: money("0.40"),
        cache_read: Some(money("0.10")),
        output: Some(money("1.60")),
        ..Price::default()
    }
}

#[test]
fn the_latest_price_not_after_the_start_holds() {
    let later = Price { from: 200, input: money("1"), ..mini() };
    let book = PriceBook::new([("p/m".to_owned(), vec![later.clone(), mini()])], None);
    let pricing = book.pricing("p", "m");
    assert_eq!(pricing.at(99), None);
    assert_eq!(pricing.at(100), Some(&mini()));
    assert_eq!(pricing.at(199), Some(&mini()));
    assert_eq!(pricing.at(200), Some(&later));
    assert!(book.pricing("p", "other").is_unknown());
}

#[test]
fn cached_tokens_have_their_own_price_and_reasoning_that_of_output() {
    let usage = Usage { input: 700, cache_read: 300, cache_write: 0, output: 50, reasoning: 150 };
    let Charge { amount, lines } = charge(Some(&mini()), &usage);
    // 700 × 0.40 + 300 × 0.10 + 200 × 1.60, per million.
    assert_eq!(amount, Some(money("0.00063")));
    let units: Vec<_> = lines.iter().map(|line| (&*line.unit, line.quantity)).collect();
    let expected = [
        ("input_tokens", 700),
        ("cache_read_tokens", 300),
        ("output_tokens", 50),
        ("reasoning_tokens", 150),
    ];
    assert_eq!(units, expected);
}

#[test]
fn an_unknown_price_gives_no_amount_and_keeps_the_lines() {
    let usage = Usage { input: 10, output: 1, ..Usage::default() };
    let unknown = charge(None, &usage);
    assert_eq!((unknown.amount, unknown.lines.len()), (None, 2));
    let embedder = Price { input: money("0.02"), ..Price::default() };
    assert_eq!(charge(Some(&embedder), &usage).amount, None);
    assert_eq!(charge(Some(&embedder), &Usage { output: 0, ..usage }).amount, Some(Money(200)));
}

#[test]
fn an_amount_is_rounded_once_half_to_even() {
    // Two lines of half a nano each: 1 nano together, not 0 + 0 and not 1 + 1.
    let half = Price { input: Money(500_000), output: Some(Money(500_000)), ..Price::default() };
    let usage = Usage { input: 1, output: 1, ..Usage::default() };
    assert_eq!(charge(Some(&half), &usage).amount, Some(Money(1)));
    assert_eq!(charge(Some(&half), &Usage { output: 0, ..usage }).amount, Some(Money(0)));
    assert_eq!(charge(Some(&half), &Usage { output: 2, ..usage }).amount, Some(Money(2)));
}

#[test]
fn free_is_a_price_of_zero() {
    let usage = Usage { input: 10, reasoning: 7, ..Usage::default() };
    assert_eq!(charge(Pricing::free().at(0), &usage).amount, Some(Money::ZERO));
}

proptest! {
    #[test]
    fn no_use_within_the_estimate_costs_more_than_the_ceiling(
        input in 0u32..1_000_000, cached in 0u32..1_000_000, written in 0u32..1_000_000,
        output in 0u32..1_000_000, hidden in 0u32..1_000_000,
        prices in proptest::array::uniform5(0i128..100_000_000_000),
    ) {
        let price = Price {
            from: 0,
            input: Money(prices[0]),
            // A read dearer than input is no discount; nobody sells that.
            cache_read: Some(Money(prices[1].min(prices[0]))),
            cache_write: Some(Money(prices[2])),
            output: Some(Money(prices[3])),
            reasoning: Some(Money(prices[4])),
        };
        let usage = Usage {
            input: input.into(), cache_read: cached.into(), cache_write: written.into(),
            output: output.into(), reasoning: hidden.into(),
        };
        let estimate = Estimate {
            input_upper: u64::from(input) + u64::from(cached) + u64::from(written),
            input_likely: 0,
            output_upper: u64::from(output) + u64::from(hidden),
        };
        prop_assert!(charge(Some(&price), &usage).amount <= price.ceiling(&estimate).amount);
    }
}
