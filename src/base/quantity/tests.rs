use super::*;

#[test]
fn durations_have_a_unit_and_are_shown_in_the_largest_that_fits() {
    for (text, ms) in [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000)] {
        assert_eq!(Span::parse(text), Some(Span(Duration::from_millis(ms))), "{text}");
    }
    for text in ["", "30", "s", "1.5s", "-3s", "3 s", "3S", "400d", "99999999999999999999s"] {
        assert_eq!(Span::parse(text), None, "{text}");
    }
    for (text, shown) in [("90s", "90s"), ("120s", "2m"), ("24h", "1d"), ("0ms", "0s")] {
        assert_eq!(Span::parse(text).unwrap().to_string(), shown);
    }
}

#[test]
fn sizes_have_a_unit() {
    assert_eq!(Size::parse("1MiB"), Some(Size(1 << 20)));
    assert_eq!(Size::parse("3kB"), Some(Size(3_000)));
    assert_eq!(Size::parse("3"), None);
    assert_eq!(Size::parse("99999999999GiB"), None);
}

#[test]
fn amounts_have_a_currency() {
    let amount = Amount::parse("0.0005 USD").unwrap();
    assert_eq!((amount.decimal.as_str(), amount.currency.as_str()), ("0.0005", "USD"));
    for text in ["50", "50USD", "$50", "-1 USD", "1.0000000001 USD", "1. USD", ".5 USD", "1 usd"] {
        assert_eq!(Amount::parse(text), None, "{text}");
    }
}
