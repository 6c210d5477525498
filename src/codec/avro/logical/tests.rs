use proptest::prelude::*;

use super::*;

#[test]
fn a_decimal_keeps_sign_and_places_and_drops_trailing_zeros() {
    for (unscaled, scale, text) in [
        (0, 9, "0"),
        (400_000, 9, "0.0004"),
        (-400_000, 9, "-0.0004"),
        (1_250, 2, "12.5"),
        (1_200, 2, "12"),
        (7, 0, "7"),
        (-7, 0, "-7"),
        (i128::MAX, 9, "170141183460469231731687303715.884105727"),
    ] {
        assert_eq!(decimal_text(unscaled, scale), text);
    }
}

#[test]
fn what_is_no_plain_decimal_is_refused() {
    for text in ["", "-", ".", ".5", "5.", "1e3", "+1", "1,5", "0x1", " 1", "1.2.3", "--1", "٣"] {
        assert_eq!(decimal(text, 9), None, "{text:?}");
    }
    assert_eq!(decimal("1.23", 1), None, "more places than the scale");
    assert_eq!(decimal("1.50", 1), Some(15), "a trailing zero is no place");
    assert_eq!(decimal("000", 0), Some(0));
    assert_eq!(decimal(&"9".repeat(39), 0), None);
}

#[test]
fn a_number_beyond_128_bits_is_none_and_padding_is_not_beyond() {
    assert_eq!(integer(&[0xff; 40]), Some(-1));
    assert_eq!(integer(&[0; 40]), Some(0));
    assert_eq!(integer(&[1; 17]), None);
    assert_eq!(integer(&[]), Some(0));
    let mut positive = vec![0u8];
    positive.extend([0xff; 16]);
    assert_eq!(integer(&positive), None, "2^128 - 1 would read as -1 if its sign byte were cut");
}

#[test]
fn times_beyond_the_calendar_are_none() {
    assert_eq!(timestamp_text(i64::MAX, Unit::Millis), None);
    assert_eq!(timestamp_text(i64::MIN, Unit::Micros), None);
    assert_eq!(date_text(i32::MAX), None);
    assert_eq!(date_text(i32::MIN), None);
    assert_eq!(time_text(-1, Unit::Millis), None);
    assert_eq!(time_text(86_400_000, Unit::Millis), None);
    assert_eq!(time_text(i64::MAX, Unit::Micros), None);
}

#[test]
fn times_have_their_usual_text() {
    assert_eq!(timestamp_text(1_500, Unit::Millis).as_deref(), Some("1970-01-01T00:00:01.5Z"));
    assert_eq!(local_text(-1, Unit::Micros).as_deref(), Some("1969-12-31T23:59:59.999999"));
    assert_eq!(date_text(20_779).as_deref(), Some("2026-11-22"));
    assert_eq!(time_text(3_661_000, Unit::Millis).as_deref(), Some("01:01:01"));
    assert_eq!(timestamp("2026-11-22T10:00:00+02:00", Unit::Millis), Some(1_795_334_400_000));
    assert_eq!(timestamp("2026-11-22", Unit::Millis), None, "a date is not an instant");
}

proptest! {
    #[test]
    fn decimals_come_back(unscaled in -(10i128.pow(38) - 1)..10i128.pow(38), scale in 0usize..38) {
        prop_assert_eq!(decimal(&decimal_text(unscaled, scale), scale), Some(unscaled));
    }

    #[test]
    fn integers_come_back_in_the_fewest_bytes(number: i128) {
        let bytes = integer_bytes(number);
        prop_assert_eq!(integer(&bytes), Some(number));
        prop_assert!(bytes.len() == 1 || integer(&bytes[1..]) != Some(number));
    }

    #[test]
    fn durations_come_back(bytes: [u8; 12]) {
        prop_assert_eq!(duration(&duration_text(bytes)), Some(bytes));
    }

    #[test]
    fn times_come_back(millis in -62_000_000_000_000i64..250_000_000_000_000, days in -700_000i32..2_900_000) {
        prop_assert_eq!(timestamp(&timestamp_text(millis, Unit::Millis).unwrap(), Unit::Millis), Some(millis));
        prop_assert_eq!(local(&local_text(millis, Unit::Millis).unwrap(), Unit::Millis), Some(millis));
        prop_assert_eq!(date(&date_text(days).unwrap()), Some(days));
    }
}
