//! Hostile bytes: an error in bounded time and memory, never a panic, whatever the schema.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use vivremotion::codec::avro::shipped;
use vivremotion::codec::{Codec, json, text};

use super::refuses;
use super::support::{avro, framed};

const LIST: &str =
    r#"{"type":"record","name":"List","fields":[{"name":"next","type":["null","List"]}]}"#;

#[tokio::test]
async fn a_schema_that_contains_itself_ends_at_the_depth_of_the_room() {
    let codec = avro(LIST).await;
    let deep = framed(&[vec![2; 1_000_000], vec![0]].concat());
    let message = refuses(&*codec, &deep, "too-deep").await;
    assert_eq!(message, "the value is nested more than 64 deep");
    let fits = framed(&[vec![2; 63], vec![0]].concat());
    assert!(codec.decode(&fits.into()).await.is_ok());
}

#[tokio::test]
async fn a_schema_of_nothing_but_itself_ends() {
    let endless = r#"{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}"#;
    let codec = avro(endless).await;
    refuses(&*codec, &framed(&[]), "too-deep").await;
    let wide = r#"{"type":"record","name":"W","fields":[{"name":"l","type":{"type":"array","items":"W"}},{"name":"r","type":{"type":"array","items":"W"}}]}"#;
    let codec = avro(wide).await;
    refuses(&*codec, &framed(&[4; 200]), "too-deep").await;
}

#[tokio::test]
async fn a_length_that_lies_costs_nothing() {
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let least = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    for schema in [
        r#""string""#,
        r#""bytes""#,
        r#"{"type":"array","items":"string"}"#,
        r#"{"type":"map","values":"string"}"#,
        r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#,
        r#"{"type":"fixed","name":"F","size":2000000000}"#,
        r#"["null","string"]"#,
        r#"{"type":"enum","name":"E","symbols":["A"]}"#,
    ] {
        let codec = avro(schema).await;
        refuses(&*codec, &framed(&huge), "invalid-avro").await;
        refuses(&*codec, &framed(&least), "invalid-avro").await;
        refuses(&*codec, &framed(&[0x80; 20]), "invalid-avro").await;
    }
    // Items without bytes: only counting stops them.
    let nulls = avro(r#"{"type":"array","items":"null"}"#).await;
    refuses(&*nulls, &framed(&huge), "too-many-values").await;
    // 250,000 values with the list itself; the counts are 249,999 and 250,000.
    let fits = framed(&[0x9e, 0xc2, 0x1e, 0]);
    assert_eq!(nulls.decode(&fits.into()).await.unwrap().as_array().unwrap().len(), 249_999);
    refuses(&*nulls, &framed(&[0xa0, 0xc2, 0x1e, 0]), "too-many-values").await;
    let empties =
        avro(r#"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#).await;
    refuses(&*empties, &framed(&[&least[..], &[0]].concat()), "too-many-values").await;
}

#[tokio::test]
async fn a_datum_that_is_cut_or_too_long_is_refused() {
    let codec = avro(r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"b","type":"boolean"}]}"#).await;
    let whole = codec.encode(&json!({"a": "text", "b": true})).await.unwrap();
    for end in 5..whole.len() {
        let message = refuses(&*codec, &whole[..end], "invalid-avro").await;
        assert_eq!(message, "the value does not fit its schema: it ends too early");
    }
    let longer = [&whole[..], &[0]].concat();
    let message = refuses(&*codec, &longer, "invalid-avro").await;
    assert_eq!(message, "the value does not fit its schema: 1 bytes are left over");
    let mut untrue = whole.to_vec();
    *untrue.last_mut().unwrap() = 2;
    let message = refuses(&*codec, &untrue, "invalid-avro").await;
    assert_eq!(message, "the value does not fit its schema: a truth value is neither 0 nor 1");
}

#[tokio::test]
async fn values_that_no_calendar_and_no_128_bits_hold_are_refused() {
    let most = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    for schema in [
        r#"{"type":"long","logicalType":"timestamp-millis"}"#,
        r#"{"type":"long","logicalType":"timestamp-micros"}"#,
        r#"{"type":"long","logicalType":"local-timestamp-millis"}"#,
        r#"{"type":"long","logicalType":"time-micros"}"#,
        r#""int""#,
        r#"{"type":"int","logicalType":"date"}"#,
    ] {
        refuses(&*avro(schema).await, &framed(&most), "invalid-avro").await;
    }
    let decimal =
        avro(r#"{"type":"bytes","logicalType":"decimal","precision":90,"scale":2}"#).await;
    refuses(&*decimal, &framed(&[&[40][..], &[1; 20]].concat()), "invalid-avro").await;
}

#[test]
fn a_schema_that_would_cost_too_much_is_unusable() {
    use vivremotion::codec::avro::Layout;
    let wide: Vec<String> =
        (0..30_000).map(|n| format!(r#"{{"name":"f{n}","type":"int"}}"#)).collect();
    let wide = format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, wide.join(","));
    let deep =
        format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(5_000), "}".repeat(5_000));
    let long = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"{}","type":"int"}}]}}"#,
        "a".repeat(1_000)
    );
    let places =
        r#"{"type":"bytes","logicalType":"decimal","precision":1000000000,"scale":1000000000}"#;
    let heavy =
        format!(r#"{{"type":"record","name":"R","doc":"{}","fields":[]}}"#, "a".repeat(2 << 20));
    for schema in [&wide, &deep, &long, places, &heavy] {
        let error = Layout::parse(schema, &[]).unwrap_err();
        assert_eq!(error.code, "unusable-schema");
        assert!(error.message.len() < 400, "{error}");
    }
}

/// Decodes and says nothing of what comes of it: only that it comes back.
fn survives(codec: &dyn Codec, bytes: Vec<u8>) {
    let _ = waited(codec.decode(&Bytes::from(bytes)));
}

fn waited<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// Every type there is, beside each other and inside themselves.
const EVERYTHING: &str = r#"{"type":"record","name":"All","fields":[
    {"name":"u","type":["null","All","int","string",{"type":"map","values":"All"},{"type":"array","items":["null","All"]},
        {"type":"record","name":"T","fields":[
            {"name":"a","type":{"type":"long","logicalType":"timestamp-nanos"}},
            {"name":"b","type":{"type":"int","logicalType":"date"}},
            {"name":"c","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":9}},
            {"name":"d","type":{"type":"string","logicalType":"uuid"}},
            {"name":"e","type":{"type":{"type":"fixed","name":"X","size":12},"logicalType":"duration"}},
            {"name":"f","type":{"type":"enum","name":"Y","symbols":["A","B"]}},
            {"name":"g","type":{"type":"bytes","logicalType":"big-decimal"}}]}]},
    {"name":"f","type":"float"}]}"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000), ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_a_value_or_an_error(datum in prop::collection::vec(any::<u8>(), 0..400)) {
        thread_local! {
            static CODECS: Vec<std::sync::Arc<dyn Codec>> = shipped::ALL
                .iter()
                .map(|(_, schema)| *schema)
                .chain([LIST, EVERYTHING])
                .map(|schema| waited(avro(schema)))
                .collect();
        }
        CODECS.with(|codecs| {
            for codec in codecs {
                survives(&**codec, framed(&datum));
                survives(&**codec, datum.clone());
            }
        });
        survives(&json::Json, datum.clone());
        survives(&text::Text, datum);
    }

    #[test]
    fn a_good_value_with_changed_bytes_gives_a_value_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        thread_local! {
            static GOOD: (std::sync::Arc<dyn Codec>, Vec<u8>) = {
                let codec = waited(avro(EVERYTHING));
                let value = json!({"f": 1.5, "u": {"a": {"u": [null, {"u": "text", "f": 0.5}], "f": 2.0}}});
                let bytes = waited(codec.encode(&value)).unwrap();
                (codec, bytes.to_vec())
            };
        }
        GOOD.with(|(codec, good)| {
            let mut bytes = good.clone();
            for (index, byte) in changes {
                let at = 5 + index.index(good.len() - 5);
                bytes[at] = byte;
            }
            survives(&**codec, bytes);
        });
    }

    #[test]
    fn json_that_is_almost_json_gives_a_value_or_an_error(text in r#"[\[\]{}",:\\a0-9.e \-tn]{0,200}"#) {
        survives(&json::Json, text.into_bytes());
    }
}
