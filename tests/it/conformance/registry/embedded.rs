//! The embedded registry.

use super::suite;
use super::suite::record;
use vivremotion::codec::CodecErrorKind;
use vivremotion::codec::registry::embedded::Embedded;
use vivremotion::codec::registry::{Registry, Verdict, Which};

#[tokio::test]
async fn the_embedded_registry_keeps_the_promises_of_the_room() {
    suite::all(&Embedded::in_memory().unwrap(), "here").await;
}

#[tokio::test]
async fn the_embedded_registry_is_still_there_when_it_is_opened_again_and_shared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let id = Embedded::open(&path).unwrap().register("t-value", r#""int""#).await.unwrap();
    let (one, two) = (Embedded::open(&path).unwrap(), Embedded::open(&path).unwrap());
    assert_eq!(one.find("t-value", Which::Latest).await.unwrap().unwrap().id, id);
    let other = one.register("u-value", r#""long""#).await.unwrap();
    assert!(two.schema(other).await.unwrap().is_some());
    let both =
        tokio::join!(one.register("v-value", r#""float""#), two.register("v-value", r#""float""#));
    assert_eq!(both.0.unwrap(), both.1.unwrap());
}

#[tokio::test]
async fn a_file_that_is_no_registry_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "x".repeat(10_000)).unwrap();
    let Err(error) = Embedded::open(&path) else { panic!("opened") };
    assert_eq!((error.kind, error.code), (CodecErrorKind::Permanent, "registry-setting"));
    assert!(error.message.contains("notes.txt"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap().len(), 10_000, "it was left alone");
}

/// Verdicts as Avro's specification of schema resolution gives them.
#[tokio::test]
async fn compatibility_is_as_the_specification_of_avro_says() {
    let int = r#""int""#;
    let (ab, abc) = (
        r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
        r#"{"type":"enum","name":"E","symbols":["A","B","C"]}"#,
    );
    let abd = r#"{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}"#;
    let list = |of: &str| {
        format!(
            r#"{{"type":"record","name":"L","fields":[{{"name":"v","type":"{of}"}},
                {{"name":"next","type":["null","L"],"default":null}}]}}"#
        )
    };
    let aliased =
        r#"{"type":"record","name":"R","fields":[{"name":"z","aliases":["a"],"type":"int"}]}"#;
    let pairs: Vec<(String, String, bool)> = [
        (int, r#""long""#, true),
        (int, r#""double""#, true),
        (r#""long""#, int, false),
        (r#""float""#, r#""double""#, true),
        (r#""double""#, r#""float""#, false),
        (r#""string""#, r#""bytes""#, true),
        (int, r#""string""#, false),
        (int, r#"["null","int"]"#, true),
        (r#"["null","int"]"#, int, false),
        (r#"["null","int"]"#, r#"["null","long","string"]"#, true),
        (r#"["null","string"]"#, r#"["null","int"]"#, false),
        (ab, abc, true),
        (abc, ab, false),
        (abc, abd, true),
        (r#"{"type":"array","items":"int"}"#, r#"{"type":"array","items":"long"}"#, true),
        (r#"{"type":"map","values":"long"}"#, r#"{"type":"map","values":"int"}"#, false),
        (
            r#"{"type":"fixed","name":"F","size":4}"#,
            r#"{"type":"fixed","name":"F","size":8}"#,
            false,
        ),
    ]
    .map(|(old, new, fits)| (old.to_owned(), new.to_owned(), fits))
    .into_iter()
    .chain([
        (record(&[("a", int, None), ("b", int, None)]), record(&[("a", int, None)]), true),
        (record(&[("a", int, None)]), record(&[("a", int, None), ("b", int, None)]), false),
        (record(&[("a", int, None)]), record(&[("b", int, None)]), false),
        (record(&[("a", int, None)]), aliased.to_owned(), true),
        (list("int"), list("long"), true),
        (list("long"), list("int"), false),
    ])
    .collect();
    for (at, (old, new, fits)) in pairs.iter().enumerate() {
        let registry = Embedded::in_memory().unwrap();
        registry.register("t-value", old).await.unwrap();
        let verdict = registry.check("t-value", new).await.unwrap();
        assert_eq!(verdict == Verdict::Compatible, *fits, "{at}: {old} → {new}: {verdict:?}");
    }
}
