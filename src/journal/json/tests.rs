use super::*;

const ID: &str = r#""0193b0a0-0000-4000-8000-000000000001""#;

/// What serde reads from a text, written straight, is what serde writes.
#[test]
fn entries_are_written_as_the_general_writer_would() {
    let intent =
        r#""stage":"s","operation":"chat","provider":"p","account":"a","model":"m","started_at":5"#;
    for text in [
        format!(r#"{{"intent":{{"attempt":{ID},{intent}}}}}"#),
        format!(
            r#"{{"intent":{{"attempt":{ID},"item":1,{intent},"ceiling":"12","catalogue":"c"}}}}"#
        ),
        format!(r#"{{"withdrawn":{{"attempt":{ID}}}}}"#),
        r#""ended""#.to_owned(),
    ] {
        let what: What = serde_json::from_str(&text).unwrap();
        let mut out = Vec::new();
        what.put(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&what).unwrap());
    }
}
