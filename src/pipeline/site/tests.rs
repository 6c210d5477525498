use super::*;

#[track_caller]
fn check(yaml: &str, start: (u32, u32), text: &str, expected: (u32, u32)) {
    let start = Some(Place { line: start.0, column: start.1 });
    let site = Site { file: "f".into(), start };
    let place = site.place(yaml, text, text.find('X').unwrap());
    assert_eq!((place.line, place.column), expected);
}

#[test]
fn a_byte_of_a_scalar_has_its_place_in_the_file() {
    check("a: b X c", (1, 4), "b X c", (1, 6));
    check("a: \"ä X\"", (1, 4), "ä X", (1, 7));
    check("a: |\n  one\n  two X\n", (1, 4), "one\ntwo X\n", (3, 7));
    check("a: |\n  one\n    two X\n", (2, 3), "one\n  two X\n", (3, 9));
}

#[test]
fn where_escapes_stand_in_between_the_scalars_start_must_do() {
    check("a: \"b\\n X\"", (1, 4), "b\n X", (1, 4));
    check("a: >\n  b\n  X\n", (1, 4), "b X\n", (1, 4));
}

#[test]
fn a_text_with_a_file_of_its_own_is_counted_from_its_start() {
    let site = Site { file: "f".into(), start: None };
    assert_eq!(site.place("", "one\n X", 5), Place { line: 2, column: 2 });
}
