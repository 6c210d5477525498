use proptest::prelude::*;

use super::*;

fn texts(markdown: &str, most: usize) -> Vec<String> {
    super::markdown(markdown, most).into_iter().map(|chunk| chunk.text).collect()
}

#[test]
fn passages_follow_the_headings_and_begin_with_them() {
    let text = "Preface.\n\n# Returns\n\nSend it back.\n\n## Refunds ##\n\nTen days.\n\n### Empty\n\n## Costs\nNone.\n# Care\nDry.";
    assert_eq!(
        texts(text, 50),
        [
            "Preface.",
            "Returns\n\nSend it back.",
            "Returns > Refunds\n\nTen days.",
            "Returns > Costs\n\nNone.",
            "Care\n\nDry.",
        ]
    );
    assert_eq!(super::markdown(text, 50)[2].headings, ["Returns", "Refunds"]);
}

#[test]
fn underlined_headings_are_headings_and_rules_are_not() {
    assert_eq!(
        texts("Title\n=====\ntext\n\nPart\n---\nmore", 50),
        ["Title\n\ntext", "Title > Part\n\nmore"]
    );
    assert_eq!(texts("one\ntwo\n---\nthree", 50), ["one\ntwo\n---\nthree"]);
    assert_eq!(texts("#hashtag and #5", 50), ["#hashtag and #5"]);
}

#[test]
fn fenced_code_is_no_heading() {
    let code = "```sh\n# comment\n\nls ~~~\n```";
    assert_eq!(texts(&format!("# A\n\n{code}\n\nend"), 50), [format!("A\n\n{code}\n\nend")]);
    // A fence that never ends takes the rest, and loses nothing.
    assert_eq!(texts("~~~\n# x\n\ny", 50), ["~~~\n# x\n\ny"]);
}

#[test]
fn front_matter_is_left_out() {
    assert_eq!(texts("---\ntitle: x\n---\nbody", 50), ["body"]);
    assert_eq!(texts("---\nno end", 50), ["---\nno end"]);
}

#[test]
fn short_paragraphs_share_a_passage_and_long_ones_are_cut_at_sentences() {
    assert_eq!(texts("a b\n\nc d\n\ne f", 4), ["a b\n\nc d", "e f"]);
    assert_eq!(texts("One two. Three four. Five six.", 4), ["One two. Three four.", "Five six."]);
    assert_eq!(
        texts("one two three four five", 2),
        ["one two ", "three four ", "five"].map(str::trim)
    );
}

#[test]
fn nothing_gives_no_passage() {
    for nothing in ["", "\n \n", "# Title", "# A\n## B\n", "---\na: b\n---\n"] {
        assert_eq!(texts(nothing, 50), [""; 0], "{nothing:?}");
    }
}

proptest! {
    #[test]
    fn no_passage_is_too_long_and_no_word_is_lost(
        text in "([a-zä漢]{1,9}[ .\n]{1,3}){0,60}", most in 1usize..12
    ) {
        let chunks = super::markdown(&text, most);
        let mut kept = Vec::new();
        for chunk in &chunks {
            prop_assert!(!chunk.text.trim().is_empty());
            // Two sentences joined may make one word of two: `a.b`.
            prop_assert!(words(&chunk.text) <= most, "{:?}", chunk.text);
            kept.extend(chunk.text.split_whitespace().map(str::to_owned));
        }
        let squeeze = |words: Vec<String>| words.concat();
        let all: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        prop_assert_eq!(squeeze(kept), squeeze(all));
    }

    #[test]
    fn any_text_is_cut(text in any::<String>(), most in 0usize..300) {
        super::markdown(&text, most);
    }
}

#[test]
fn a_text_without_spaces_is_cut_all_the_same() {
    let chunks = texts(&"x".repeat(100_000), 10);
    assert!(
        chunks.iter().all(|chunk| chunk.len() <= 10 * BYTES_OF_A_WORD + 4),
        "{}",
        chunks[0].len()
    );
    assert_eq!(chunks.concat().len(), 100_000);
}
