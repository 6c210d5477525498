//! Every file of `tests/fixtures/wire/<dialect>/`: `request-*` holds what is asked and the body that must come of it,
//! `reply-*` what a provider sent and what must be understood.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use vivremotion::base::secret::Secret;
use vivremotion::model::dialect::{self, Dialect, Headers, Operation, Raw, Wanted};
use vivremotion::model::target::{Answer, Bill};
use vivremotion::model::{AnswerSchema, ChatRequest, EmbedRequest, Message, Role};

/// 2026-09-21T14:13:20Z.
const NOW: i64 = 1_790_000_000_000;

struct Sent(BTreeMap<String, String>);

impl Headers for Sent {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn fixtures(dialect: &str, kind: &str) -> Vec<(String, Value)> {
    let folder: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/wire", dialect].iter().collect();
    let mut found = Vec::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name.starts_with(kind) {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((name, serde_json::from_str(&text).unwrap()));
        }
    }
    assert!(found.len() >= 4, "{dialect} has {} fixtures of {kind}", found.len());
    found
}

fn answer_json<T>(answer: Answer<T>, show: impl FnOnce(T) -> Value) -> Value {
    let mut shown = Map::new();
    match answer.result {
        Ok(value) => drop(shown.insert("ok".into(), show(value))),
        Err(error) => {
            let mut said = json!({ "kind": error.kind.code(), "message": error.message });
            if let Some(asked) = error.retry_after {
                said["retry_after_ms"] = json!(u64::try_from(asked.as_millis()).unwrap());
            }
            shown.insert("error".into(), said);
        }
    }
    let bill = match answer.bill {
        Bill::NeverSent => json!("never sent"),
        Bill::Nothing => json!("nothing"),
        Bill::Unreported => json!("unreported"),
        Bill::Unknown => json!("unknown"),
        Bill::Used(usage) => json!({ "used": {
            "input": usage.input, "cache_read": usage.cache_read, "cache_write": usage.cache_write,
            "output": usage.output, "reasoning": usage.reasoning } }),
    };
    shown.insert("bill".into(), bill);
    let rest = [
        ("response_model", answer.response_model),
        ("request_id", answer.request_id),
        ("finish_reason", answer.finish_reason),
    ];
    for (name, value) in rest {
        if let Some(value) = value {
            shown.insert(name.into(), value.into());
        }
    }
    shown.into()
}

fn understood(dialect: &dyn Dialect, fixture: &Value) -> Value {
    let headers = fixture.get("headers").cloned().unwrap_or(json!({}));
    let headers = Sent(serde_json::from_value(headers).unwrap());
    let body = match &fixture["body"] {
        Value::String(text) => text.clone().into_bytes(),
        body => serde_json::to_vec(body).unwrap(),
    };
    let status = u16::try_from(fixture["status"].as_u64().unwrap()).unwrap();
    let raw = Raw { status, headers: &headers, body: &body, now: NOW };
    match fixture.get("embeddings").and_then(Value::as_u64) {
        Some(texts) => {
            let answer = dialect.embed_reply(&raw, usize::try_from(texts).unwrap());
            answer_json(answer, |vectors| {
                let shown = |number: &f32| format!("{number}").parse::<f64>().unwrap();
                let vectors: Vec<Vec<f64>> =
                    vectors.iter().map(|vector| vector.iter().map(shown).collect()).collect();
                json!({ "vectors": vectors })
            })
        }
        None => answer_json(dialect.chat_reply(&raw), |reply| {
            assert!(!reply.simulated);
            json!({ "text": reply.text, "finish_reason": reply.finish_reason })
        }),
    }
}

fn chat_request(ask: &Value) -> ChatRequest {
    let message = |turn: &Value| Message {
        role: match turn["role"].as_str().unwrap() {
            "system" => Role::System,
            "user" => Role::User,
            _ => Role::Assistant,
        },
        text: turn["content"].as_str().unwrap().to_owned(),
    };
    let schema = ask
        .get("schema")
        .map(|schema| AnswerSchema { name: "intent".into(), schema: schema.clone() });
    ChatRequest {
        model: "any".into(),
        messages: ask["messages"].as_array().unwrap().iter().map(message).collect(),
        max_tokens: u32::try_from(ask["max_tokens"].as_u64().unwrap()).unwrap(),
        schema: schema.map(Into::into),
    }
}

#[test]
fn every_request_goes_out_as_its_fixture_says() {
    for name in dialect::NAMES {
        for (fixture_name, fixture) in fixtures(name, "request-") {
            let dialect = dialect::build(name, fixture["base_url"].as_str().unwrap()).unwrap();
            let dimensions = fixture["wanted"]["dimensions"].as_u64();
            let wanted = Wanted {
                model: fixture["wanted"]["model"].as_str().unwrap().to_owned(),
                params: fixture["wanted"]["params"].as_object().cloned().unwrap_or_default(),
                dimensions: dimensions.map(|n| u32::try_from(n).unwrap()),
            };
            let ask = &fixture["ask"];
            let (operation, body) = match ask.get("texts") {
                Some(texts) => {
                    let texts = serde_json::from_value(texts.clone()).unwrap();
                    let request = EmbedRequest { model: "any".into(), texts };
                    (Operation::Embed, dialect.embed(&wanted, &request))
                }
                None => (Operation::Chat, dialect.chat(&wanted, &chat_request(ask))),
            };
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body, fixture["body"], "{fixture_name}");
            let expected = fixture["headers"].as_object().unwrap();
            let key = (!expected.is_empty()).then(|| Secret::new("sk-test"));
            let endpoint = dialect.endpoint(&wanted, operation, key.as_ref());
            assert_eq!(endpoint.path, fixture["path"].as_str().unwrap(), "{fixture_name}");
            let headers: Map<String, Value> = endpoint
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.expose().into()))
                .collect();
            assert_eq!(&headers, expected, "{fixture_name}");
        }
    }
}

#[test]
fn every_reply_is_understood_as_its_fixture_says() {
    for name in dialect::NAMES {
        let dialect = dialect::build(name, "http://127.0.0.1/v1").unwrap();
        for (fixture_name, fixture) in fixtures(name, "reply-") {
            let shown = understood(&*dialect, &fixture);
            assert_eq!(shown, fixture["expect"], "{fixture_name}");
        }
    }
}

#[test]
fn every_kind_of_error_a_provider_can_cause_has_a_fixture() {
    for name in dialect::NAMES {
        let all: String =
            fixtures(name, "reply-").iter().map(|(_, one)| one["expect"].to_string()).collect();
        let kinds = [
            "rate-limited",
            "overloaded",
            "timeout",
            "unauthorised",
            "invalid-request",
            "content-filtered",
            "malformed-reply",
        ];
        for kind in kinds {
            assert!(all.contains(kind), "{name} has no fixture for {kind}");
        }
    }
}

#[test]
fn no_cut_and_no_depth_of_a_reply_brings_a_dialect_down() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_error = format!(r#"{{"error":{deep}}}"#);
    let deep_usage = format!(r#"{{"choices":[{{"message":{{"content":"x"}}}}],"usage":{deep}}}"#);
    for name in dialect::NAMES {
        let dialect = dialect::build(name, "http://127.0.0.1/v1").unwrap();
        let mut bodies: Vec<Vec<u8>> =
            [&deep, &deep_error, &deep_usage].map(|body| body.clone().into_bytes()).into();
        for (_, fixture) in fixtures(name, "reply-") {
            let whole = fixture["body"].to_string().into_bytes();
            bodies.extend((0..whole.len()).map(|end| whole[..end].to_vec()));
            bodies.push([whole.as_slice(), b"\xff\xfe"].concat());
        }
        let headers = Sent(BTreeMap::new());
        for body in &bodies {
            for status in [200, 400, 500] {
                let raw = Raw { status, headers: &headers, body, now: NOW };
                let chat = dialect.chat_reply(&raw);
                let embed = dialect.embed_reply(&raw, 1);
                assert!(status == 200 || (chat.result.is_err() && embed.result.is_err()));
            }
        }
    }
}
