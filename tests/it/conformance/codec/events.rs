//! Our own events: what is read back from Avro is their JSON, field by field.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;
use vivremotion::codec::avro::shipped;
use vivremotion::codec::json::Json;
use vivremotion::codec::{Codec, Content};
use vivremotion::event::cost::{CostEvent, CostLine};
use vivremotion::event::identity::{Identity, Origin};
use vivremotion::event::ids::{AttemptId, EventId};
use vivremotion::event::money::Money;
use vivremotion::event::result::{
    Decision, Failure, OutputValue, PassageScore, ResultEvent, StageRun,
};

use super::support::{avro, codecs};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn uuid(last: u128) -> Uuid {
    Uuid::from_u128(0x0193_b0a0_0000_4000_8000_0000_0000_0000 | last)
}

fn identity(full: bool) -> Identity<'static> {
    Identity {
        id: uuid(1),
        source: "vivremotion/triage",
        kind: "vivremotion.result",
        subject: full.then_some("order-7"),
        tenant: full.then_some("acme"),
        user: full.then_some("ann"),
        session: full.then_some("s1"),
        attributes: if full {
            BTreeMap::from([("team", "shop"), ("env", "prod")])
        } else {
            BTreeMap::new()
        },
    }
}

fn result(full: bool) -> ResultEvent<'static> {
    ResultEvent {
        identity: identity(full),
        event_id: EventId(uuid(2)),
        request_id: full.then_some("r-1"),
        origin: Cow::Owned(Origin {
            cluster: "c".into(),
            topic: "tickets".into(),
            partition: 11,
            offset: 1 << 40,
            timestamp: 1_795_374_471_500,
        }),
        replay_of: full.then_some("0193b0a0-0000-4000-8000-000000000003"),
        pipeline: "triage",
        version: full.then_some("2026-11"),
        digest: "d1",
        group: "vivremotion.triage",
        status: if full { "failed" } else { "completed" },
        degraded: full,
        index: i32::from(full),
        is_final: !full,
        error: full.then(|| Failure {
            class: "transient".into(),
            code: "rate-limited".into(),
            stage: some("answer"),
            message: "the provider said 429".into(),
            retryable: true,
        }),
        outputs: if full {
            let text = OutputValue { content_type: "text/plain", value: "ü\n".into() };
            let json = OutputValue { content_type: "application/json", value: "{}".into() };
            BTreeMap::from([("answer", text), ("classify", json)])
        } else {
            BTreeMap::new()
        },
        stages: if full { vec![stage(true), stage(false)].into() } else { Cow::default() },
        amount: full.then_some(Money(-1_000_000_001)),
        currency: "USD",
        unpriced_calls: 2,
        catalogue: full.then_some("cat"),
        received_at: 1_795_374_471_501,
        duration_us: 12_345,
        queue_us: -5,
        overhead_us: 99,
        trace_id: full.then_some("4bf92f3577b34da6a3ce929d0e0e4736"),
    }
}

fn stage(full: bool) -> StageRun {
    StageRun {
        name: "answer".into(),
        kind: "generate",
        status: "done",
        reason: full.then(|| "why".into()),
        item: full.then_some(3),
        started_at: 1_795_374_471_000,
        duration_us: 7,
        provider: full.then(|| "openai".into()),
        request_model: full.then(|| "gpt-4.1".into()),
        response_model: full.then(|| "gpt-4.1-2025".into()),
        prompt_digest: full.then(|| "p1".into()),
        finish_reason: full.then(|| "stop".into()),
        attempts: 2,
        cached: full,
        decision: full.then(|| Decision {
            policy: "first_healthy".into(),
            chosen: "openai/gpt-4.1".into(),
            probability: Some(0.25),
            candidates: vec!["openai/gpt-4.1".into(), "vllm/q".into()],
        }),
        passages: if full {
            vec![PassageScore { id: "kb-1".into(), score: 0.5 }]
        } else {
            Vec::new()
        },
        usage: if full { BTreeMap::from([("input_tokens", 12)]) } else { BTreeMap::new() },
        amount: full.then_some(Money(400_000)),
    }
}

fn cost(full: bool) -> CostEvent<'static> {
    CostEvent {
        identity: identity(full),
        time: 1_795_374_471_500,
        kind: "adjustment",
        adjusts: full.then(|| AttemptId(uuid(4))),
        batch_id: full.then_some("b1"),
        event_id: EventId(uuid(2)),
        request_id: full.then_some("r"),
        pipeline: "triage",
        version: full.then_some("2026-11"),
        digest: "d1",
        stage: "answer",
        item: full.then_some(4),
        attempt: 2,
        operation: "chat",
        provider: "openai",
        account: "main",
        region: full.then_some("eu"),
        request_model: "gpt-4.1",
        response_model: full.then_some("gpt-4.1-2025"),
        service_tier: "default",
        provider_request_id: full.then_some("x"),
        lines: if full {
            let line = |unit: &'static str, price| CostLine {
                unit: unit.into(),
                quantity: 1_234,
                unit_price: price,
                per: 1_000_000,
            };
            vec![line("input_tokens", Some(Money(400_000_000))), line("output_tokens", None)].into()
        } else {
            Cow::default()
        },
        amount: full.then_some(Money(i128::from(i64::MAX))),
        currency: "EUR",
        price_status: "unsettled",
        catalogue: full.then_some("cat"),
        cached: full,
        saved: full.then_some(Money::ZERO),
        outcome: "ok",
        finish_reason: full.then_some("stop"),
        duration_us: 1,
        ttfc_us: full.then_some(77),
    }
}

/// What JSON leaves out is null in Avro: the same thing said twice.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn as_json<T: Serialize>(event: &T) -> Value {
    serde_json::to_value(event).unwrap()
}

#[tokio::test]
async fn a_result_read_back_from_avro_is_its_json() {
    let codec = avro(shipped::RESULT).await;
    for full in [true, false] {
        let event = result(full);
        let bytes = codec.encode_result(&event).await.unwrap();
        let back = codec.decode(&bytes).await.unwrap();
        assert_eq!(without_nulls(back.clone()), as_json(&event));
        assert_eq!(codec.encode(&back).await.unwrap(), bytes, "both ways of writing agree");
        let json = Json.encode_result(&event).await.unwrap();
        assert_eq!(json, serde_json::to_vec(&event).unwrap(), "to the byte");
    }
}

#[tokio::test]
async fn a_cost_event_read_back_from_avro_is_its_json() {
    let codec = avro(shipped::COST).await;
    for full in [true, false] {
        let event = cost(full);
        let bytes = codec.encode_cost(&event).await.unwrap();
        let back = codec.decode(&bytes).await.unwrap();
        assert_eq!(without_nulls(back.clone()), as_json(&event));
        assert_eq!(codec.encode(&back).await.unwrap(), bytes, "both ways of writing agree");
        let json = Json.encode_cost(&event).await.unwrap();
        assert_eq!(json, serde_json::to_vec(&event).unwrap(), "to the byte");
    }
}

#[tokio::test]
async fn the_json_of_an_event_has_text_for_money_and_times() {
    let json = as_json(&result(true));
    assert_eq!(json["amount"], json!("-1.000000001"));
    assert_eq!(json["received_at"], json!("2026-11-22T19:07:51.501Z"));
    assert_eq!(json["origin"]["timestamp"], json!("2026-11-22T19:07:51.5Z"));
    assert_eq!(as_json(&cost(true))["lines"][0]["unit_price"], json!("0.4"));
}

#[tokio::test]
async fn an_event_is_written_with_our_schema_when_a_newer_one_of_it_is_registered() {
    use vivremotion::codec::registry::Registry;
    let registry =
        std::sync::Arc::new(vivremotion::codec::registry::embedded::Embedded::in_memory().unwrap());
    let codecs = codecs(registry.clone());
    codecs.prepare("t", Content::Cost, true).await.unwrap();
    let mut newer: Value = serde_json::from_str(shipped::COST).unwrap();
    let more = json!({"name": "note", "type": ["null", "string"], "default": null});
    newer["fields"].as_array_mut().unwrap().push(more);
    registry.register("t-value", &newer.to_string()).await.unwrap();
    let bytes = codecs.for_topic("t").encode_cost(&cost(true)).await.unwrap();
    assert_eq!(bytes[..5], [0, 0, 0, 0, 1]);
    let back = codecs.for_topic("t").decode(&bytes).await.unwrap();
    assert_eq!(without_nulls(back), as_json(&cost(true)));
}
