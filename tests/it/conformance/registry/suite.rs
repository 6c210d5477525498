//! The promises of the registry room. [`all`] takes any member; `tests/e2e` includes this file for HTTP.

use vivremotion::codec::CodecErrorKind;
use vivremotion::codec::avro::shipped;
use vivremotion::codec::registry::{Registry, Verdict, Which};

/// A record of fields, each with its type and default as JSON.
pub fn record(fields: &[(&str, &str, Option<&str>)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, ty, default)| match default {
            Some(default) => format!(r#"{{"name":"{name}","type":{ty},"default":{default}}}"#),
            None => format!(r#"{{"name":"{name}","type":{ty}}}"#),
        })
        .collect();
    format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(","))
}

/// All promises of the room. `prefix` keeps the subjects of this run apart from others in the same registry.
pub async fn all(registry: &dyn Registry, prefix: &str) {
    an_id_means_the_schema_that_was_registered(registry, prefix).await;
    the_same_schema_has_the_same_id(registry, prefix).await;
    versions_count_up_and_latest_is_the_last(registry, prefix).await;
    what_is_not_there_is_none_and_no_error(registry, prefix).await;
    an_incompatible_schema_is_refused_and_a_compatible_one_is_not(registry, prefix).await;
    what_is_no_schema_is_refused(registry, prefix).await;
    the_shipped_schemas_are_taken(registry, prefix).await;
}

async fn an_id_means_the_schema_that_was_registered(registry: &dyn Registry, prefix: &str) {
    let (one, two) = (record(&[("a", r#""int""#, None)]), r#""string""#);
    let first = registry.register(&format!("{prefix}-one-value"), &one).await.unwrap();
    let second = registry.register(&format!("{prefix}-two-value"), two).await.unwrap();
    assert_ne!(first, second);
    for (id, text) in [(first, one.as_str()), (second, two)] {
        let schema = registry.schema(id).await.unwrap().unwrap();
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(&schema.text), json(text));
        assert!(schema.references.is_empty());
    }
}

async fn the_same_schema_has_the_same_id(registry: &dyn Registry, prefix: &str) {
    let subject = format!("{prefix}-same-value");
    let text = record(&[("a", r#""long""#, None)]);
    let blanks = text.replace(',', " ,\n ");
    let first = registry.register(&subject, &text).await.unwrap();
    assert_eq!(registry.register(&subject, &text).await.unwrap(), first);
    let found = registry.find(&subject, Which::Text(&text)).await.unwrap().unwrap();
    assert_eq!((found.id, found.number), (first, 1));
    let found = registry.find(&subject, Which::Text(&blanks)).await.unwrap();
    assert_eq!(found.map(|version| version.id), Some(first), "blanks are no other schema");
    assert_eq!(registry.versions(&subject).await.unwrap(), [1]);
}

async fn versions_count_up_and_latest_is_the_last(registry: &dyn Registry, prefix: &str) {
    let subject = format!("{prefix}-versions-value");
    let texts = [
        record(&[("a", r#""int""#, None)]),
        record(&[("a", r#""int""#, None), ("b", r#""int""#, Some("0"))]),
        record(&[
            ("a", r#""int""#, None),
            ("b", r#""int""#, Some("0")),
            ("c", r#"["null","string"]"#, Some("null")),
        ]),
    ];
    let mut ids = Vec::new();
    for text in &texts {
        ids.push(registry.register(&subject, text).await.unwrap());
    }
    assert_eq!(registry.versions(&subject).await.unwrap(), [1, 2, 3]);
    let latest = registry.find(&subject, Which::Latest).await.unwrap().unwrap();
    assert_eq!((latest.number, latest.id), (3, ids[2]));
    let second = registry.find(&subject, Which::Number(2)).await.unwrap().unwrap();
    assert_eq!((second.number, second.id), (2, ids[1]));
    assert!(registry.subjects().await.unwrap().contains(&subject));
}

async fn what_is_not_there_is_none_and_no_error(registry: &dyn Registry, prefix: &str) {
    assert_eq!(registry.schema(2_000_000_000).await.unwrap(), None);
    let nowhere = format!("{prefix}-nowhere-value");
    assert_eq!(registry.find(&nowhere, Which::Latest).await.unwrap(), None);
    assert_eq!(registry.find(&nowhere, Which::Number(1)).await.unwrap(), None);
    assert_eq!(registry.find(&nowhere, Which::Text(r#""int""#)).await.unwrap(), None);
    assert!(registry.versions(&nowhere).await.unwrap().is_empty());
    let somewhere = format!("{prefix}-somewhere-value");
    registry.register(&somewhere, r#""int""#).await.unwrap();
    assert_eq!(registry.find(&somewhere, Which::Number(9)).await.unwrap(), None);
    assert_eq!(registry.find(&somewhere, Which::Text(r#""long""#)).await.unwrap(), None);
}

async fn an_incompatible_schema_is_refused_and_a_compatible_one_is_not(
    registry: &dyn Registry,
    prefix: &str,
) {
    let subject = format!("{prefix}-grow-value");
    registry.register(&subject, &record(&[("a", r#""int""#, None)])).await.unwrap();
    let without_default = record(&[("a", r#""int""#, None), ("b", r#""int""#, None)]);
    let verdict = registry.check(&subject, &without_default).await.unwrap();
    assert!(matches!(verdict, Verdict::Incompatible(_)), "{verdict:?}");
    let error = registry.register(&subject, &without_default).await.unwrap_err();
    assert_eq!((error.kind, error.code), (CodecErrorKind::Permanent, "incompatible-schema"));
    assert!(error.message.contains(&subject), "{error}");
    assert_eq!(registry.versions(&subject).await.unwrap(), [1], "nothing was registered");
    let with_default = record(&[("a", r#""int""#, None), ("b", r#""int""#, Some("7"))]);
    assert_eq!(registry.check(&subject, &with_default).await.unwrap(), Verdict::Compatible);
    registry.register(&subject, &with_default).await.unwrap();
    let unheard = format!("{prefix}-unheard-value");
    assert_eq!(registry.check(&unheard, &without_default).await.unwrap(), Verdict::Compatible);
    assert!(registry.versions(&unheard).await.unwrap().is_empty(), "a check registers nothing");
}

async fn what_is_no_schema_is_refused(registry: &dyn Registry, prefix: &str) {
    let subject = format!("{prefix}-broken-value");
    for text in ["", "{", r#"{"type":"recrod"}"#, r#""unknown""#, "[[\"null\"]]"] {
        let error = registry.register(&subject, text).await.unwrap_err();
        assert_eq!((error.kind, error.code), (CodecErrorKind::Permanent, "unusable-schema"));
    }
    assert!(registry.versions(&subject).await.unwrap().is_empty());
}

async fn the_shipped_schemas_are_taken(registry: &dyn Registry, prefix: &str) {
    for (name, text) in shipped::ALL {
        let subject = format!("{prefix}-{name}-value");
        let id = registry.register(&subject, text).await.unwrap();
        let found = registry.find(&subject, Which::Text(text)).await.unwrap().unwrap();
        assert_eq!(found.id, id, "{name}");
    }
}
