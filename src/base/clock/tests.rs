use super::*;

#[test]
fn times_go_to_text_and_back() {
    assert_eq!(rfc3339(1_790_000_000_123).as_deref(), Some("2026-09-21T14:13:20.123Z"));
    assert_eq!(parse_time("2026-09-21T14:13:20.123Z"), Some(1_790_000_000_123));
    assert_eq!(utc_day(1_790_000_000_123).as_deref(), Some("2026-09-21"));
}

#[test]
fn a_bare_day_is_its_start() {
    assert_eq!(parse_time("1970-01-02"), Some(86_400_000));
    assert_eq!(parse_time("1970-13-02"), None);
    assert_eq!(parse_time("yesterday"), None);
}
