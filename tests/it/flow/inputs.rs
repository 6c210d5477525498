//! What comes in, in every form, and what of it goes out again.

use std::time::Duration;

use serde_json::{Value, json};
use vivremotion::codec::topics::Content;
use vivremotion::flow::member::Bounds;
use vivremotion::stream::{Log, TopicPartition};

use super::one;
use crate::support::driver::{Driver, text_header};

/// The engine's own topics as JSON, or as Avro.
const FORMATS: [&str; 2] = ["json", "avro"];

async fn driver(format: &str, content: Content, pipeline: &str) -> Driver {
    let settings = format!(
        "models: {{ small: simulated/small }}\n\
         topics: {{ in: {{ value: {format} }}, out: {{ value: {format} }}, vivremotion.costs: {{ value: {format} }} }}\n"
    );
    let driver = Driver::new(&settings, pipeline).await;
    driver.codecs.prepare("in", content, true).await.unwrap();
    driver
}

impl Driver {
    /// Writes an event as its topic's settings say.
    async fn encode(&self, value: &Value) {
        let bytes = self.codecs.for_topic("in").encode(value).await.unwrap();
        self.pipe_raw(Some("k"), Some(bytes.to_vec()), Vec::new()).await;
    }

    /// The first record of a topic, decoded as its settings say.
    async fn first(&self, topic: &str) -> Value {
        let record = self.read(topic, 1).await.remove(0);
        self.codecs.for_topic(topic).decode(&record.value.unwrap()).await.unwrap()
    }
}

fn output(result: &Value, stage: &str) -> Value {
    serde_json::from_str(result["outputs"][stage]["value"].as_str().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn tags_and_parts_of_a_request_come_through() {
    let pipeline = "source: { topic: in, from: earliest }\n\
        stages:\n\
        \x20 seen: { map: { part: \"{{ event.input.parts[0] }}\", turn: \"{{ event.input.messages[0].parts[0].text }}\", team: \"{{ event.attributes.team }}\" } }\n\
        \x20 answer: { generate: { model: small, prompt: \"Look at {{ event.input.parts[0].name }}\" } }\n\
        sink: { topic: out, outputs: [seen, answer] }\n";
    let request = json!({
        "id": "r-1", "source": "app/test", "type": "vivremotion.request",
        "attributes": { "team": "blue", "project": "x" }, "tenant": "acme", "user": "u-1",
        "input": {
            "messages": [{ "role": "user", "parts": [{ "type": "text", "text": "what is this?" }] }],
            "parts": [{
                "type": "image", "name": "photo.png", "media_type": "image/png", "bytes": "AAEC/w==",
                "digest": "d", "size": 4,
            }],
        },
    });
    for format in FORMATS {
        let driver = driver(format, Content::Request, pipeline).await;
        driver.encode(&request).await;
        let result = driver.first("out").await;
        assert_eq!(result["status"], "completed", "{format}: {result}");
        let tags = json!({ "team": "blue", "project": "x" });
        assert_eq!(result["attributes"], tags, "{format}");
        assert_eq!(
            (&result["tenant"], &result["user"], &result["request_id"]),
            (&json!("acme"), &json!("u-1"), &json!("r-1")),
            "{format}"
        );
        let seen = output(&result, "seen");
        assert_eq!((&seen["turn"], &seen["team"]), (&json!("what is this?"), &json!("blue")));
        let part = &seen["part"];
        assert_eq!(part["bytes"], "AAEC/w==", "{format}: bytes are base64");
        assert_eq!((&part["name"], &part["size"]), (&json!("photo.png"), &json!(4)), "{format}");
        assert!(result["outputs"]["answer"]["value"].as_str().unwrap().contains("photo.png"));
        let cost = driver.first("vivremotion.costs").await;
        assert_eq!(cost["attributes"], tags, "{format}: the past can't be tagged later");
        assert_eq!((&cost["tenant"], &cost["user"]), (&json!("acme"), &json!("u-1")), "{format}");
    }
}

#[tokio::test(start_paused = true)]
async fn tags_and_parts_of_a_reading_come_through() {
    let pipeline = "source: { topic: in, from: earliest, filter: event.values.x > 1 }\n\
        stages:\n\
        \x20 seen: { map: { part: \"{{ event.parts[0] }}\", values: \"{{ event.values }}\", site: \"{{ event.attributes.site }}\" } }\n\
        sink: { topic: out, outputs: [seen] }\n";
    let reading = json!({
        "id": "s-1", "source": "press/7", "type": "vivremotion.sensor", "subject": "press-7",
        "attributes": { "site": "lyon" }, "time": "2026-11-22T10:00:00Z", "metric": "vibration",
        "value": 4.5, "values": { "x": 4.5, "y": 0.25 }, "unit": "mm/s", "quality": "good",
        "parts": [{ "type": "blob", "name": "spectrum", "bytes": "/wA=", "size": 2 }],
    });
    for format in FORMATS {
        let driver = driver(format, Content::Sensor, pipeline).await;
        driver.encode(&reading).await;
        let result = driver.first("out").await;
        assert_eq!(result["attributes"], json!({ "site": "lyon" }), "{format}: {result}");
        assert_eq!(result["subject"], "press-7", "{format}");
        let seen = output(&result, "seen");
        assert_eq!(seen["values"], json!({ "x": 4.5, "y": 0.25 }), "{format}");
        assert_eq!((&seen["site"], &seen["part"]["bytes"]), (&json!("lyon"), &json!("/wA=")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_stands_in_the_partition_of_its_record() {
    let settings = "models: { small: simulated/small }";
    let driver = Driver::with(settings, &one("small"), 5, Bounds::default(), Vec::new()).await;
    for n in 0..40 {
        let key = format!("key-{n}");
        driver.pipe_raw((n % 2 == 0).then_some(&key), Some(b"{".to_vec()), Vec::new()).await;
    }
    let letters = driver.dead_letters(40).await;
    let partitions: std::collections::BTreeSet<i32> =
        letters.iter().map(|letter| letter.at.partition).collect();
    assert!(partitions.len() > 2, "{partitions:?}");
    for letter in letters {
        let from = text_header(&letter, "__connect.errors.partition");
        assert_eq!(from, letter.at.partition.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn poison_in_any_format_goes_to_the_dead_letters_and_nothing_else_stops() {
    let good = json!({
        "id": "r", "source": "s", "type": "vivremotion.request", "input": { "text": "good" },
    });
    let pipeline = one("small").replace("event.text", "record.key");
    let avro = driver("avro", Content::Request, &pipeline).await;
    let bytes = avro.codecs.for_topic("in").encode(&good).await.unwrap().to_vec();
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        bytes
    };
    let poison: [(&str, Vec<u8>); 6] = [
        ("short-value", Vec::new()),
        ("magic-byte", with(0, 7)),
        ("magic-byte", b"{}".to_vec()),
        ("unknown-schema", with(4, 99)),
        ("invalid-avro", bytes[..bytes.len() - 3].to_vec()),
        ("invalid-avro", [&bytes[..], b"more"].concat()),
    ];
    for (_, bytes) in &poison {
        avro.pipe_raw(Some("k"), Some(bytes.clone()), Vec::new()).await;
    }
    avro.encode(&good).await;
    let letters = avro.dead_letters(poison.len()).await;
    for (letter, (code, bytes)) in letters.iter().zip(&poison) {
        assert_eq!(letter.value.as_deref(), Some(&bytes[..]), "untouched");
        assert_eq!(text_header(letter, "vivremotion.error.code"), *code);
    }
    assert_eq!(avro.first("out").await["status"], "completed");

    let settings = "models: { small: simulated/small }\ntopics: { in: { value: text } }\n";
    let text = Driver::new(settings, &pipeline.replace("record.key", "event")).await;
    text.pipe_raw(None, Some(vec![0xff, 0xfe, b'x']), Vec::new()).await;
    text.pipe_raw(None, Some(b"good".to_vec()), Vec::new()).await;
    let letter = text.dead_letters(1).await.remove(0);
    assert_eq!(text_header(&letter, "vivremotion.error.class"), "decode");
    assert_eq!(text.first("out").await["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn a_datum_that_nests_without_end_is_poison() {
    let settings = "models: { small: simulated/small }\ntopics: { in: { value: avro } }\n";
    let driver = Driver::new(settings, &one("small").replace("event.text", "record.key")).await;
    let node = json!({
        "type": "record", "name": "Node",
        "fields": [{ "name": "next", "type": ["null", "Node"], "default": null }],
    });
    let id = driver.codecs.registry().register("in-value", &node.to_string()).await.unwrap();
    // Each byte says: the second branch, another node.
    let bytes = [&[0], &id.to_be_bytes()[..], &[2; 100_000]].concat();
    driver.pipe_raw(Some("k"), Some(bytes), Vec::new()).await;
    driver
        .pipe_raw(Some("k"), Some([&[0], &id.to_be_bytes()[..], &[0]].concat()), Vec::new())
        .await;
    let letter = driver.dead_letters(1).await.remove(0);
    assert_eq!(text_header(&letter, "vivremotion.error.code"), "too-deep");
    assert_eq!(driver.first("out").await["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn five_megabytes_of_json_are_poison_and_a_megabyte_is_not() {
    let driver = Driver::new("models: { small: simulated/small }", &one("small")).await;
    for size in [5 << 20, 1 << 20] {
        let body = json!({ "text": "x", "more": "y".repeat(size) }).to_string();
        driver.pipe_raw(Some("k"), Some(body.into_bytes()), Vec::new()).await;
    }
    let letter = driver.dead_letters(1).await.remove(0);
    assert_eq!(text_header(&letter, "vivremotion.error.code"), "too-large");
    assert!(letter.value.unwrap().len() > 5 << 20, "nothing is cut");
    assert_eq!(driver.first("out").await["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_progress_is_unreadable_stands_still_and_the_others_go_on() {
    let mut driver = Driver::with(
        "models: { small: simulated/small }\n",
        &one("small"),
        2,
        Bounds::default(),
        vec![],
    )
    .await;
    driver.stop().await;
    let damaged = TopicPartition { topic: "in".into(), partition: 0 };
    driver.log.set_committed("vivremotion.test", &damaged, 0, "written by another program");
    driver.crash().await;
    for n in 0..20 {
        driver.pipe(Some(&format!("k{n}")), json!({ "text": "hello" })).await;
    }
    let held = driver.log.extents("in").await.unwrap();
    let others = held.iter().find(|extent| extent.at.partition == 1).unwrap().high;
    assert!((1..20).contains(&others));
    driver.advance(Duration::from_secs(600)).await;
    assert_eq!(driver.log.records("out").len() as i64, others);
}
