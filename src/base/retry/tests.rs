use std::time::Duration;

use proptest::prelude::*;

use super::{CALLS, retry_after};

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = 1_700_000_000_000;
    assert_eq!(retry_after(" 2 ", now), Some(Duration::from_secs(2)));
    assert_eq!(retry_after("0.25", now), Some(Duration::from_millis(250)));
    assert_eq!(retry_after("Tue, 14 Nov 2023 22:13:30 GMT", now), Some(Duration::from_secs(10)));
    assert_eq!(retry_after("Tue, 14 Nov 2023 22:13:10 GMT", now), Some(Duration::ZERO));
}

#[test]
fn a_retry_after_that_is_no_time_is_ignored_and_an_absurd_one_is_cut() {
    for wrong in ["soon", "", "-1", "NaN", "inf", "1e999"] {
        assert_eq!(retry_after(wrong, 0), None, "{wrong}");
    }
    assert_eq!(retry_after("99999999999", 0), Some(Duration::from_secs(86_400)));
}

#[test]
fn the_ceiling_doubles_up_to_the_most() {
    let longest = |made| CALLS.wait(made, u64::MAX, None);
    assert_eq!(longest(1), Duration::from_millis(500));
    assert_eq!(longest(2), Duration::from_secs(1));
    assert_eq!(longest(6), Duration::from_secs(16));
    assert_eq!(longest(7), Duration::from_secs(30));
    assert_eq!(longest(u32::MAX), Duration::from_secs(30));
}

proptest! {
    #[test]
    fn a_wait_is_within_its_ceiling_and_not_before_what_was_asked(made: u32, draw: u64, asked in 0u64..100_000) {
        prop_assert!(CALLS.wait(made, draw, None) <= CALLS.most);
        let asked = Duration::from_millis(asked);
        let wait = CALLS.wait(made, draw, Some(asked));
        prop_assert!(wait >= asked && wait <= asked + CALLS.base);
    }
}
