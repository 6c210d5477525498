//! Kinds that make values and effects without asking anybody.

use super::*;
use crate::context::memory;
use crate::stage::{Effect, Publish, StageErrorKind};

#[tokio::test]
async fn map_keeps_types_and_renders_texts() {
    let text = "map: { id: \"{{ event.id }}\", note: \"about {{ event.id }}\", tags: \"{{ event.tags }}\", n: [1, \"{{ nothing }}\"] }";
    assert_eq!(
        run(text, vec![]).await.value(),
        json!({ "id": 17, "note": "about 17", "tags": ["a", "b"], "n": [1, null] })
    );
}

#[tokio::test]
async fn a_name_that_is_not_there_is_a_permanent_failure() {
    for text in ["map: { a: \"{{ event.none }}\" }", "map: { a: \"so {{ event.none }}\" }"] {
        let run = run(text, vec![]).await;
        assert_eq!((run.error().code, &run.error().kind), ("template", &StageErrorKind::Permanent));
    }
}

#[tokio::test]
async fn publish_gives_topic_and_key_and_a_record_to_write() {
    let text = "publish: { topic: commands, key: \"press-{{ event.id }}\", value: { action: stop, n: \"{{ event.id }}\" }, headers: { reason: \"id {{ event.id }}\" } }";
    let reply = run(text, vec![]).await.outcome.expect("a reply");
    assert_eq!(reply.value, json!({ "topic": "commands", "key": "press-17" }));
    let expected = Publish {
        stage: "the_stage".into(),
        item: None,
        topic: "commands".into(),
        key: Some("press-17".into()),
        value: json!({ "action": "stop", "n": 17 }),
        headers: serde_json::Map::from_iter([("reason".to_owned(), json!("id 17"))]),
    };
    assert_eq!(reply.effects, [Effect::Publish(expected)]);
}

#[tokio::test]
async fn a_published_record_carries_the_events_key_unless_another_is_written() {
    let run = run("publish: { topic: commands, value: null }", vec![]).await;
    let reply = run.outcome.expect("a reply");
    let Effect::Publish(publish) = &reply.effects[0] else { panic!("{:?}", reply.effects) };
    assert_eq!((publish.key.as_deref(), &publish.value), (Some("customer-9"), &Value::Null));
}

#[tokio::test]
async fn forget_returns_what_is_to_be_deleted_for_the_events_tenant() {
    let by_id = run("forget: { collection: kb, id: \"{{ record.key }}\" }", vec![]).await;
    let reply = by_id.outcome.expect("a reply");
    assert_eq!(reply.value, json!({ "id": "customer-9" }));
    let effect = |what| Effect::Forget { collection: "kb".into(), tenant: "acme".into(), what };
    assert_eq!(reply.effects, [effect(memory::Forget::Id("customer-9".into()))]);

    let by_field =
        run("forget: { collection: kb, where: { n: \"{{ event.id }}\" } }", vec![]).await;
    let reply = by_field.outcome.expect("a reply");
    assert_eq!(reply.value, json!({ "id": null }));
    let fields = serde_json::Map::from_iter([("n".to_owned(), json!(17))]);
    assert_eq!(reply.effects, [effect(memory::Forget::Where(fields))]);
}

#[tokio::test]
async fn forget_refuses_what_would_delete_more_than_meant() {
    for (text, code) in [
        ("forget: { collection: kb, id: \"{{ nothing }}\" }", "empty-id"),
        ("forget: { collection: kb, where: { n: \"{{ nothing }}\" } }", "not-a-plain-value"),
        ("forget: { collection: kb, where: { n: \"{{ event.tags }}\" } }", "not-a-plain-value"),
    ] {
        assert_eq!(run(text, vec![]).await.error().code, code, "{text}");
    }
}
