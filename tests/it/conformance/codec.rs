//! The codec room's conformance suite: what holds for every codec, then what each promises of its own.

use bytes::Bytes;
use serde_json::{Value, json};
use vivremotion::codec::{Codec, CodecErrorKind};

mod avro;
mod events;
mod evolution;
mod hostile;
mod support;

/// A value comes back as it was written.
pub async fn comes_back(codec: &dyn Codec, value: Value) {
    let bytes = codec.encode(&value).await.unwrap_or_else(|error| panic!("{value}: {error}"));
    let back = codec.decode(&bytes).await.unwrap_or_else(|error| panic!("{value}: {error}"));
    assert_eq!(back, value);
}

/// Bytes are refused for ever, with this code, and the error does not tell what they hold.
pub async fn refuses(codec: &dyn Codec, bytes: &[u8], code: &str) -> String {
    let error = match codec.decode(&Bytes::copy_from_slice(bytes)).await {
        Err(error) => error,
        Ok(value) => panic!("{} took bytes that it should refuse: {value}", codec.name()),
    };
    assert_eq!((error.kind, error.code), (CodecErrorKind::Permanent, code), "{error}");
    error.message
}

#[tokio::test]
async fn every_codec_gives_back_a_text() {
    for codec in support::members(r#""string""#).await {
        for text in ["", "plain", "two\nlines", "\u{0}", "日本語 🙂", "\"quoted\" \\ {{ x }}"]
        {
            comes_back(&*codec, json!(text)).await;
        }
    }
}

#[tokio::test]
async fn every_codec_refuses_a_value_that_is_too_long() {
    let long = vec![b'0'; 5_000_000];
    for codec in support::members(r#""string""#).await {
        let message = refuses(&*codec, &long, "too-large").await;
        assert_eq!(message, "the value has 5000000 bytes, more than the 4194304 that are read");
    }
}

#[tokio::test]
async fn json_gives_back_every_kind_of_value() {
    let codec = vivremotion::codec::json::Json;
    let value = json!({
        "null": null, "truth": [true, false], "whole": [0, -1, i64::MIN, u64::MAX], "part": 0.1,
        "text": "ü\u{1f642}", "empty": [{}, [], ""], "deep": {"a": [{"b": [[1]]}]},
    });
    comes_back(&codec, value).await;
    let twice = Bytes::from_static(br#"{"a":1,"a":2}"#);
    assert_eq!(codec.decode(&twice).await.unwrap(), json!({"a": 2}), "the last one holds");
}

#[tokio::test]
async fn json_and_text_refuse_what_they_are_not() {
    let json = vivremotion::codec::json::Json;
    for (bytes, message) in [
        (&b""[..], "the JSON value ends too early at line 1, column 0"),
        (b"{\"a\":", "the JSON value ends too early at line 1, column 5"),
        (b"{\"secret\":\n nonsense}", "the JSON value is not valid at line 2, column 3"),
        (b"1 2", "the JSON value is not valid at line 1, column 3"),
        (b"NaN", "the JSON value is not valid at line 1, column 1"),
        (b"1e999", "the JSON value is not valid at line 1, column 5"),
    ] {
        assert_eq!(refuses(&json, bytes, "invalid-json").await, message);
    }
    let message = "the value is not UTF-8: byte 2 is not part of a character";
    assert_eq!(refuses(&json, b"\"a\xff\"", "invalid-utf8").await, message);
    let text = vivremotion::codec::text::Text;
    assert_eq!(refuses(&text, b"ab\xc3\x28", "invalid-utf8").await, message);
}

#[tokio::test]
async fn json_refuses_depth_and_number_before_it_builds_anything() {
    let json = vivremotion::codec::json::Json;
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let message = refuses(&json, &deep, "too-deep").await;
    assert_eq!(message, "the value is nested more than 64 deep");
    refuses(&json, "{\"a\":".repeat(10_000).as_bytes(), "too-deep").await;
    refuses(&json, format!("[{}0]", "0,".repeat(1_000_000)).as_bytes(), "too-many-values").await;
    let fits = [vec![b'['; 64], vec![b']'; 64]].concat();
    assert!(json.decode(&fits.into()).await.is_ok());
    let brackets = json!("[".repeat(1_000) + "\\\"{{{");
    comes_back(&json, brackets).await;
}
