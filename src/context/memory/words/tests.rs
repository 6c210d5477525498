use super::*;

fn english(text: &str) -> Vec<Term> {
    Words::new(Language::English).question(text)
}

#[test]
fn forms_of_a_word_meet_whatever_their_case_and_marks() {
    assert_eq!(english("Refunding, REFUNDS!"), english("refund"));
    assert_ne!(english("refund"), english("reform"));
}

#[test]
fn each_language_has_its_own_forms() {
    let german = Words::new(Language::from_name("german").unwrap());
    assert_eq!(german.question("Rechnungen"), german.question("Rechnung"));
    assert_ne!(english("Rechnungen"), english("Rechnung"));
    let bare = Words::new(Language::None);
    assert_ne!(bare.question("refunds"), bare.question("refund"));
    assert!(Language::NAMES.iter().all(|name| Language::from_name(name).is_some()));
    assert_eq!(Language::from_name("klingon"), None);
}

#[test]
fn an_apostrophe_is_read_as_its_language_does() {
    let french = Words::new(Language::French);
    assert_eq!(french.question("l’été"), french.question("Été l'"));
    assert_eq!(english("the machine’s"), english("machine's THE"));
    assert_eq!(english("don't").len(), 1);
}

#[test]
fn any_script_has_words_and_marks_alone_have_none() {
    assert_eq!(english("").len(), 0);
    assert_eq!(english("?! … 🙂 --").len(), 0);
    assert_eq!(english("счёт 42 naïve 東京").len(), 5);
}

#[test]
fn ids_of_words_never_change() {
    assert_eq!(english("refund"), [2_498_308_989]);
}

#[test]
fn a_word_weighs_more_when_repeated_and_less_in_a_long_passage() {
    assert!(weight(2, 50) > weight(1, 50));
    assert!(weight(1, 400) < weight(1, 50));
    assert!(weight(255, 10) < K + 1.0);
    let words = Words::new(Language::English).passage("a refund is a refund");
    assert_eq!(words.len(), 3);
    assert!(words.is_sorted_by_key(|(term, _)| *term));
}

#[test]
fn a_word_that_every_passage_has_counts_next_to_nothing() {
    assert!(rarity(1_000, 1_000) < 0.001);
    assert!(rarity(1, 1_000) > rarity(10, 1_000));
    assert_eq!(rarity(10, 0), 0.0);
}
