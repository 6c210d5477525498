use super::*;

#[test]
fn a_secret_is_not_shown() {
    let secret = Secret::new("hunter2");
    assert!(!format!("{secret:?}").contains("hunter2"));
    assert_eq!(secret.expose(), "hunter2");
}

#[test]
fn references_are_found_with_their_defaults() {
    let text = "x${env:A:-b:c}y${file:/run/k}${other}${open";
    let found: Vec<From<'_>> = references(text).into_iter().map(|r| r.from).collect();
    assert_eq!(found, [From::Env("A", Some("b:c")), From::File("/run/k"), From::Unknown("other")]);
    assert_eq!(&text[references(text)[0].range.clone()], "${env:A:-b:c}");
}

#[test]
fn keys_written_out_are_recognised_and_words_are_not() {
    let key = ["sk-", "proj-a1b2c3d4e5f6g7h8"].concat();
    assert_eq!(looks_inline(&format!("Bearer {key}")), Some("an API key"));
    assert_eq!(looks_inline("-----BEGIN RSA PRIVATE KEY-----"), Some("a private key"));
    for text in ["sk-learn", "${env:OPENAI_API_KEY}", "a risk-averse-and-careful-answer", "eyJ"] {
        assert_eq!(looks_inline(text), None, "{text}");
    }
}
