use super::*;

fn sample() -> Diagnostics {
    let file: Arc<str> = "triage.yaml".into();
    let mut found = Diagnostics::new();
    found.source(&file, "a: 1\n  b: {\u{1b} c: larg }\n");
    let late = Place { line: 2, column: 10 };
    found.warning(&file, late, "unused-stage", "nobody reads `b`", None);
    let first = Place { line: 1, column: 1 };
    found.error(
        &file,
        first,
        "unknown-key",
        "`a` is no key here",
        Some("did you mean `b`?".into()),
    );
    found
}

#[test]
fn problems_are_printed_by_place_with_their_line_and_mend() {
    assert_eq!(
        sample().to_string(),
        "triage.yaml:1:1: error[unknown-key]: `a` is no key here\n 1 | a: 1\n  help: did you mean `b`?\n\
         triage.yaml:2:10: warning[unused-stage]: nobody reads `b`\n 2 |   b: {  c: larg }\n"
    );
}

#[test]
fn a_line_that_holds_a_secret_is_not_shown_whatever_is_said_of_it() {
    let mut found = sample();
    let file: Arc<str> = "triage.yaml".into();
    found.error(&file, Place { line: 2, column: 4 }, "inline-secret", "`b` is written out", None);
    let said = found.to_string();
    assert!(said.contains("1 | a: 1") && !said.contains("larg"), "{said}");
}

#[test]
fn json_is_one_value_a_line() {
    let lines = sample().to_json_lines();
    let first = lines.lines().next().unwrap();
    assert_eq!(
        first,
        r#"{"code":"unknown-key","severity":"error","file":"triage.yaml","line":1,"column":1,"message":"`a` is no key here","help":"did you mean `b`?"}"#
    );
    assert_eq!(lines.lines().count(), 2);
}

#[test]
fn the_same_problem_is_taken_down_once() {
    let mut found = sample();
    found.merge(sample());
    assert_eq!(found.counts(), (1, 1));
}

#[test]
fn a_byte_has_a_line_and_a_column_in_characters() {
    assert_eq!(Place::of("ä\nöü x", "ä\nöü ".len()), Place { line: 2, column: 4 });
}

#[test]
fn what_is_said_is_never_longer_than_a_screen() {
    let mut found = Diagnostics::new();
    found.error(&"f".into(), Place::default(), "unknown-key", "ä".repeat(1 << 20), None);
    assert!(found.to_string().len() < 3_000);
}
