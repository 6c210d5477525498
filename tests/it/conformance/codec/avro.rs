//! Avro: every type there and back, the same bytes as `apache_avro` makes, and words for what does not fit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use bytes::Bytes;
use serde_json::{Value, json};
use vivremotion::codec::registry::Registry;
use vivremotion::codec::{CodecErrorKind, Content};

use super::support::{Watched, avro, codecs, framed};
use super::{comes_back, refuses};

/// Every type of Avro, with values that stand for it.
fn types() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        (r#""null""#, vec![json!(null)]),
        (r#""boolean""#, vec![json!(true), json!(false)]),
        (r#""int""#, vec![json!(0), json!(-64), json!(i32::MAX), json!(i32::MIN)]),
        (r#""long""#, vec![json!(1), json!(i64::MAX), json!(i64::MIN)]),
        (r#""float""#, vec![json!(0.1), json!(-2.5), json!("NaN")]),
        (r#""double""#, vec![json!(0.1), json!(1e300), json!("Infinity"), json!("-Infinity")]),
        (r#""bytes""#, vec![json!(""), json!("AAECAw==")]),
        (r#""string""#, vec![json!(""), json!("日本")]),
        (r#"{"type":"fixed","name":"F","size":3}"#, vec![json!("AAEC")]),
        (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#, vec![json!("A"), json!("B")]),
        (r#"{"type":"array","items":"int"}"#, vec![json!([]), json!([1, 2, 3])]),
        (r#"{"type":"map","values":"int"}"#, vec![json!({}), json!({"a": 1})]),
        (
            r#"["null","long","string",{"type":"array","items":"string"}]"#,
            vec![json!(null), json!(7), json!("x"), json!(["x"])],
        ),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":20,"scale":4}"#,
            vec![json!("0"), json!("-12.5"), json!("999999999999999.9999")],
        ),
        (
            r#"{"type":{"type":"fixed","name":"D","size":8},"logicalType":"decimal","precision":18,"scale":2}"#,
            vec![json!("-0.01"), json!("12.5")],
        ),
        (r#"{"type":"string","logicalType":"uuid"}"#, vec![json!(UUID)]),
        (r#"{"type":"int","logicalType":"date"}"#, vec![json!("2026-11-22"), json!("1969-12-31")]),
        (r#"{"type":"int","logicalType":"time-millis"}"#, vec![json!("19:07:51.5")]),
        (r#"{"type":"long","logicalType":"time-micros"}"#, vec![json!("00:00:00.000001")]),
        (
            r#"{"type":"long","logicalType":"timestamp-millis"}"#,
            vec![json!("2026-11-22T19:07:51.5Z"), json!("1970-01-01T00:00:00Z")],
        ),
        (
            r#"{"type":"long","logicalType":"timestamp-micros"}"#,
            vec![json!("1969-12-31T23:59:59.999999Z")],
        ),
        (
            r#"{"type":"long","logicalType":"timestamp-nanos"}"#,
            vec![json!("2026-11-22T00:00:00.000000001Z")],
        ),
        (
            r#"{"type":"long","logicalType":"local-timestamp-millis"}"#,
            vec![json!("2026-11-22T19:07:51")],
        ),
        (
            r#"{"type":{"type":"fixed","name":"D","size":12},"logicalType":"duration"}"#,
            vec![json!("P1M2DT3.004S")],
        ),
        (
            r#"{"type":"record","name":"n.List","fields":[{"name":"v","type":"int"},
                {"name":"next","type":["null","List"]}]}"#,
            vec![json!({"v": 1, "next": {"v": 2, "next": null}})],
        ),
    ]
}

const UUID: &str = "0193b0a0-0000-4000-8000-000000000001";

#[tokio::test]
async fn every_type_of_avro_comes_back() {
    for (schema, values) in types() {
        let codec = avro(schema).await;
        for value in values {
            comes_back(&*codec, value).await;
        }
    }
}

#[tokio::test]
async fn the_bytes_are_those_that_apache_avro_reads_and_writes() {
    for (schema, values) in types() {
        let codec = avro(schema).await;
        let parsed = apache_avro::Schema::parse_str(schema).unwrap();
        let reader = GenericDatumReader::builder(&parsed).build().unwrap();
        let writer = GenericDatumWriter::builder(&parsed).build().unwrap();
        for value in values {
            let bytes = codec.encode(&value).await.unwrap();
            let mut datum = &bytes[5..];
            let theirs = reader.read_value(&mut datum).unwrap();
            assert!(datum.is_empty(), "{schema}: {value}");
            let again = writer.write_value_to_vec(theirs).unwrap();
            let back = codec.decode(&framed(&again).into()).await.unwrap();
            assert_eq!(back, value, "{schema}");
        }
    }
}

#[tokio::test]
async fn lists_and_maps_in_blocks_of_either_form_are_read() {
    let codec = avro(r#"{"type":"array","items":"int"}"#).await;
    // Two blocks: two items with their size in bytes before them, then one without.
    let datum = framed(&[3, 4, 2, 4, 2, 6, 0]);
    assert_eq!(codec.decode(&datum.into()).await.unwrap(), json!([1, 2, 3]));
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_refused_with_the_name_of_its_field() {
    let schema = r#"{"type":"record","name":"shop.Order","fields":[
        {"name":"id","type":"string"},
        {"name":"count","type":"int","default":1},
        {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
            {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}]}},"default":[]},
        {"name":"paid","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null},
        {"name":"state","type":{"type":"enum","name":"S","symbols":["open","shut"]},"default":"open"},
        {"name":"either","type":["null","int","string"],"default":null}]}"#;
    let codec = avro(schema).await;
    for (value, message) in [
        (json!([]), "the value does not fit the schema: expected a mapping, got a list"),
        (
            json!({}),
            "field `id` does not fit the schema: it is missing, and the schema has no default for it",
        ),
        (json!({"id": 7}), "field `id` does not fit the schema: expected a text, got a number"),
        (
            json!({"id": "a", "count": 1.5}),
            "field `count` does not fit the schema: expected a whole number from -2147483648 to 2147483647, got a number",
        ),
        (
            json!({"id": "a", "lines": [{"price": "1.00"}, {"price": "1.005"}]}),
            "field `lines[1].price` does not fit the schema: expected a decimal of at most 2 places and 38 digits, got a text",
        ),
        (
            json!({"id": "a", "paid": "yesterday"}),
            "field `paid` does not fit the schema: expected a time such as `2026-11-22T19:07:51Z`, got a text",
        ),
        (
            json!({"id": "a", "state": "ajar"}),
            "field `state` does not fit the schema: expected one of `open`, `shut`, got a text",
        ),
        (
            json!({"id": "a", "either": true}),
            "field `either` does not fit the schema: expected one of `null`, `int`, `string`, got a truth value",
        ),
        (
            json!({"id": "a", "idd": 1}),
            "field `idd` does not fit the schema: `shop.Order` has no such field; it has `id`, `count`, `lines`, `paid`, `state`, `either`",
        ),
    ] {
        let error = codec.encode(&value).await.unwrap_err();
        assert_eq!((error.kind, error.code), (CodecErrorKind::Permanent, "schema-mismatch"));
        assert_eq!(error.message, message);
    }
    let given = json!({"id": "a", "count": 2.0, "lines": [{"price": 1.25}]});
    let back = codec.decode(&codec.encode(&given).await.unwrap()).await.unwrap();
    assert_eq!(
        back,
        json!({"id": "a", "count": 2, "lines": [{"price": "1.25"}], "paid": null,
            "state": "open", "either": null}),
        "defaults stand in, a whole float is a whole number, a number is a decimal"
    );
}

#[tokio::test]
async fn a_default_is_read_as_the_schema_means_it() {
    let schema = r#"{"type":"record","name":"R","fields":[
        {"name":"b","type":"bytes","default":"\u00ff\u0000"},
        {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2},"default":"\u0001"},
        {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"},"default":0},
        {"name":"u","type":["int","null"],"default":3}]}"#;
    let codec = avro(schema).await;
    let back = codec.decode(&codec.encode(&json!({})).await.unwrap()).await.unwrap();
    assert_eq!(back, json!({"b": "/wA=", "d": "0.01", "t": "1970-01-01T00:00:00Z", "u": 3}));
}

#[tokio::test]
async fn choices_inside_choices_end_in_bounded_time() {
    let schema = r#"{"type":"record","name":"A","fields":[{"name":"x","type":
        ["null","A",{"type":"record","name":"B","fields":[{"name":"x","type":["null","B","A"]}]}]}]}"#;
    let codec = avro(schema).await;
    let deep = (0..40).fold(json!({"x": 1}), |inner, _| json!({"x": inner}));
    let error = codec.encode(&deep).await.unwrap_err();
    assert_eq!(error.kind, CodecErrorKind::Permanent);
    let lists = r#"{"type":"record","name":"L","fields":[{"name":"l","type":{"type":"array","items":"L"}}]}"#;
    let lists = avro(lists).await;
    let nested = |depth| (0..depth).fold(json!({"l": []}), |inner, _| json!({"l": [inner]}));
    assert_eq!(lists.encode(&nested(100)).await.unwrap_err().code, "too-deep");
    comes_back(&*lists, nested(30)).await;
}

#[tokio::test]
async fn a_value_without_the_wire_format_is_refused() {
    let codec = avro(r#""string""#).await;
    for (bytes, code, message) in [
        (&b""[..], "short-value", "the value is empty"),
        (&[0, 0, 0], "short-value", "the value has 3 bytes, fewer than the 5 before every datum"),
        (
            b"{\"a\":1}",
            "magic-byte",
            "the value begins with byte 123, expected 0 as every Avro value with a schema id does",
        ),
        (&[0, 0, 0, 1, 200, 2, 97], "unknown-schema", "the registry knows no schema 456"),
    ] {
        assert_eq!(refuses(&*codec, bytes, code).await, message);
    }
}

#[tokio::test]
async fn the_registry_is_asked_once_for_an_id_however_many_ask_at_once() {
    let registry = Arc::new(Watched::new());
    registry.inner.register("t-value", r#""string""#).await.unwrap();
    let codec = codecs(Arc::clone(&registry) as Arc<dyn Registry>).for_topic("t");
    let value = Bytes::from(framed(&[2, b'x']));
    let all = futures::future::join_all((0..100).map(|_| codec.decode(&value))).await;
    assert!(all.iter().all(|decoded| decoded == &Ok(json!("x"))));
    codec.decode(&value).await.unwrap();
    assert_eq!(registry.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_registry_that_is_down_makes_no_dead_letter_and_is_asked_again() {
    let registry = Arc::new(Watched::new());
    registry.inner.register("t-value", r#""string""#).await.unwrap();
    registry.down.store(true, Ordering::SeqCst);
    let codec = codecs(Arc::clone(&registry) as Arc<dyn Registry>).for_topic("t");
    let value = Bytes::from(framed(&[2, b'x']));
    for _ in 0..2 {
        let error = codec.decode(&value).await.unwrap_err();
        assert_eq!(error.kind, CodecErrorKind::Unavailable);
    }
    assert_eq!(codec.encode(&json!("x")).await.unwrap_err().kind, CodecErrorKind::Unavailable);
    registry.down.store(false, Ordering::SeqCst);
    assert_eq!(codec.decode(&value).await.unwrap(), json!("x"));
    assert!(codec.encode(&json!("x")).await.is_ok());
    let unknown = Bytes::from(vec![0, 0, 0, 0, 9, 0]);
    assert_eq!(codec.decode(&unknown).await.unwrap_err().code, "unknown-schema");
    let before = registry.asked.load(Ordering::SeqCst);
    codec.decode(&unknown).await.unwrap_err();
    assert_eq!(registry.asked.load(Ordering::SeqCst), before + 1, "it may be known by now");
}

#[tokio::test]
async fn nothing_is_registered_unless_it_is_asked_for() {
    let registry = Arc::new(Watched::new());
    let codecs = codecs(Arc::clone(&registry) as Arc<dyn Registry>);
    let error = codecs.prepare("t", Content::Result, false).await.unwrap_err();
    assert_eq!(error.code, "unknown-subject");
    assert!(error.message.contains("vivremotion schemas register t --schema result"), "{error}");
    assert_eq!(codecs.prepare("t", Content::Own, true).await.unwrap_err().code, "unknown-subject");
    assert!(registry.inner.subjects().await.unwrap().is_empty());
    codecs.prepare("elsewhere", Content::Result, false).await.unwrap();
    codecs.prepare("t", Content::Result, true).await.unwrap();
    codecs.prepare("t", Content::Result, false).await.unwrap();
    assert_eq!(registry.inner.subjects().await.unwrap(), ["t-value"]);
}
