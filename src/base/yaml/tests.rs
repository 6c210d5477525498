use std::collections::BTreeMap;

use super::*;

#[derive(Debug, serde::Deserialize)]
struct Sample {
    name: Spanned<String>,
    #[serde(default)]
    count: Option<u32>,
    #[serde(default)]
    kinds: BTreeMap<String, Kind>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Plain,
    Deep { text: Text },
}

fn read_sample(text: &str) -> (Option<Sample>, String) {
    let (value, found) = parse::<Sample>(&"f.yaml".into(), text);
    (value, found.to_string())
}

#[test]
fn values_know_their_place() {
    let (value, said) =
        read_sample("# head\nkinds: { a: plain, b: { deep: { text: x } } }\nname:  n\n");
    let value = value.unwrap();
    assert_eq!(said, "");
    assert_eq!(value.name.place(), Place { line: 3, column: 8 });
    let Some(Kind::Deep { text }) = value.kinds.get("b") else { unreachable!() };
    assert_eq!(text.place(), Place { line: 2, column: 39 });
    assert!(matches!(value.kinds.get("a"), Some(Kind::Plain)));
    assert_eq!(value.count, None);
}

#[test]
fn every_unknown_key_is_taken_down() {
    let (value, said) =
        read_sample("nam: 1\nname: n\ncuont: 2\nkinds: { b: { deep: { text: x, txt: y } } }\n");
    assert!(value.is_some());
    assert_eq!(said.matches("error[unknown-key]").count(), 3, "{said}");
    assert!(said.contains("did you mean `count`?"), "{said}");
    assert!(
        said.contains("f.yaml:4:32: error[unknown-key]: `txt` is not a key known in `deep`"),
        "{said}"
    );
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let (value, said) = read_sample(text);
    assert!(said.contains(expected), "expected {expected}\nin {said}");
    assert!(value.is_none() || said.contains("error["), "{value:?}");
}

#[test]
fn every_wrong_value_is_taken_down() {
    let (_, said) =
        read_sample("name: 5\ncount: x\nkinds: { a: plian, b: { deep: { text: 7, txt: 8 } } }\n");
    for part in [
        "f.yaml:1:7: error[wrong-type]",
        "f.yaml:2:8:",
        "f.yaml:3:13:",
        "f.yaml:3:39:",
        "f.yaml:3:42: error[unknown-key]",
    ] {
        assert_eq!(said.matches(part).count(), 1, "{part} in {said}");
    }
    assert_eq!(said.matches("error[").count(), 5, "{said}");
}

#[test]
fn wrong_types_say_what_was_expected() {
    check(
        "name: 5",
        "f.yaml:1:7: error[wrong-type]: expected a text, found a number\n 1 | name: 5\n  help: put it in quotes",
    );
    check(
        "name: n\ncount: x",
        "f.yaml:2:8: error[wrong-type]: expected a whole number from 0, found a text",
    );
    check("name: n\ncount: -1", "f.yaml:2:8: error[bad-value]: expected a whole number from 0");
    check("count: 1", "f.yaml:1:1: error[missing-key]: the key `name` is missing");
    check(
        "name: n\nkinds: { a: plian }",
        "f.yaml:2:13: error[unknown-word]: `plian` is not a word known here",
    );
    check(
        "name: n\nkinds: { a: { deep: {} } }",
        "f.yaml:2:15: error[missing-key]: the key `text` is missing in `deep`",
    );
    check("name: n\nkinds: { a: deep }", "`deep` needs a value of its own");
    check("- name", "expected a mapping, found a list");
}

#[test]
fn duplicate_keys_tags_and_second_documents_are_refused() {
    check(
        "name: a\nname: b",
        "f.yaml:2:1: error[duplicate-key]: `name` stands here twice, first in line 1",
    );
    check("name: !secret b", "error[yaml-tag]");
    check("name: b\n---\nname: c", "one YAML document");
    check("name: [", "error[yaml-syntax]");
    check("name: *nobody", "error[yaml-syntax]");
}

#[test]
fn size_depth_and_aliases_are_bounded() {
    check(&format!("name: {}", "x".repeat(MAX_BYTES)), "error[yaml-limit]");
    check(&format!("name: {}{}", "[".repeat(40), "]".repeat(40)), "error[yaml-limit]");
    check(
        &(0..40).fold(String::new(), |text, n| format!("{text}{}a:\n", "  ".repeat(n))),
        "error[yaml-limit]",
    );
    let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let previous = format!("*a{}, ", n - 1).repeat(9);
        format!("{text}a{n}: &a{n} [{previous}]\n")
    });
    check(&bomb, "error[yaml-limit]");
}

#[test]
fn the_four_traps_say_quote_it() {
    check("name: n\nkinds: { a: ${env:X} }", "f.yaml:2:13: error[unquoted-reference]");
    check("name: {{ x }}", "f.yaml:1:7: error[unquoted-template]");
    check("kinds: { a: { deep: { text: {{ x.y }} } } }", "f.yaml:1:29: error[unquoted-template]");
    let (_, said) = read_sample("name: {{ x }}");
    assert_eq!(said.matches("error[").count(), 1, "{said}");
    check(
        "kinds: { a: { deep: { text: Hello {{ x }} } } }",
        "f.yaml:1:35: error[unquoted-template]",
    );
    check("name: Question: {{ x }}", "f.yaml:1:17: error[unquoted-template]");
    check("name: \"a\" in b", "f.yaml:1:7: error[text-after-quote]");
    check("kinds: { a: x[0] == \"a\" }", "f.yaml:1:14: error[unquoted-brackets]");
}

#[test]
fn words_that_yaml_once_read_as_truth_are_texts() {
    let (value, said) = read_sample("name: no");
    assert_eq!(value.unwrap().name.value, "no", "{said}");
}

#[test]
fn a_replaced_text_may_be_a_number() {
    let file: Arc<str> = "f.yaml".into();
    let (tree, mut found) = load(&file, "name: \"${env:N}\"\ncount: ${env:C}");
    let mut tree = tree.unwrap();
    tree.replace_texts(&mut |text, _| {
        Some(if text.contains('C') { "7".into() } else { "5".into() })
    });
    let value: Sample = from_tree(&file, &tree, &mut found).unwrap();
    assert_eq!((value.name.value.as_str(), value.count), ("5", Some(7)), "{found}");
}

#[test]
fn the_words_of_a_type_are_known() {
    assert_eq!(words::<Kind>(), ["plain", "deep"]);
    assert_eq!(words::<Sample>(), ["name", "count", "kinds"]);
}
