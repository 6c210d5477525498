use super::*;

#[test]
fn the_closest_word_is_offered() {
    assert_eq!(nearest("larg", ["small", "large"]), Some("large"));
    assert_eq!(nearest("promt", ["model", "prompt"]), Some("prompt"));
}

#[test]
fn nothing_is_offered_when_nothing_is_close() {
    assert_eq!(nearest("zebra", ["model", "prompt"]), None);
    assert_eq!(nearest("x", ["y", "z"]), None);
}

#[test]
fn the_list_is_named_but_never_without_end() {
    let help = suggestion("larg", "models are", ["small", "large"]).unwrap();
    assert_eq!(help, "models are `small`, `large`; did you mean `large`?");
    let many: Vec<String> = (0..50).map(|n| format!("model{n}")).collect();
    let help = suggestion("zebra", "models are", many.iter().map(String::as_str)).unwrap();
    assert!(help.ends_with("`model11`, …"), "{help}");
}
