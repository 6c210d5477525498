//! The shipped pipelines, unchanged, on one file and on real services: the same events come to the same end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use serde_json::Value;

use crate::product::Mock;
use crate::services::Need;
use crate::story::{Story, World};

const TOUR: Duration = Duration::from_secs(120);

/// This file's stories.
pub fn stories() -> Vec<Story> {
    vec![Story {
        name: "shipped_pipelines_decide_alike_on_one_file_and_on_real_services",
        needs: &[Need::Kafka, Need::Registry, Need::Qdrant],
        run: |world| alike(world).boxed_local(),
    }]
}

/// Models over HTTP with prices, and collections with both sides.
fn settings(mock: &Mock, services: &str) -> String {
    let price = "[ { from: 2026-01-01, input: 1.00 USD, output: 2.00 USD } ]";
    format!(
        "vivremotion: 1\n\
         providers: {{ mock: {{ dialect: openai, base_url: \"{}\" }} }}\n\
         models: {{ small: mock/small, writer: mock/writer, embedder: {{ model: mock/embedder, dimensions: 64 }} }}\n\
         prices:\n  mock/small: {price}\n  mock/writer: {price}\n  mock/embedder: {price}\n\
         {services}",
        mock.base_url()
    )
}

const COLLECTIONS: &str = "  collections:\n    support-kb: { embedder: embedder }\n    press-manuals: { embedder: embedder }\n";

/// What two runs of the same event must have in common.
#[derive(Debug, PartialEq, Eq)]
struct Decision {
    status: String,
    degraded: bool,
    /// Name, item and status of each stage.
    stages: Vec<(String, Option<i64>, String)>,
    passages: BTreeSet<String>,
    amount: String,
}

fn decision(result: &Value) -> Decision {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let stages = result["stages"].as_array().unwrap();
    let mut states: Vec<_> =
        stages.iter().map(|s| (text(&s["name"]), s["item"].as_i64(), text(&s["status"]))).collect();
    // Stages of one event end in any order.
    states.sort();
    let passages =
        stages.iter().flat_map(|stage| stage["passages"].as_array().into_iter().flatten());
    Decision {
        status: text(&result["status"]),
        degraded: result["degraded"] == true,
        stages: states,
        passages: passages.map(|passage| text(&passage["id"])).collect(),
        amount: text(&result["amount"]),
    }
}

/// Makes the tour with these settings; results by pipeline and request.
fn tour(world: &World, name: &str, settings: &str) -> BTreeMap<(String, String), Decision> {
    let mut said = BTreeMap::new();
    let mut engine = world.tour(name, settings);
    let status = engine.end(TOUR);
    assert!(status.success(), "{}", engine.last_words());
    for line in engine.out().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let result = &record["value"];
        if result["stages"].is_null() {
            continue;
        }
        let text = |name: &str| result[name].as_str().unwrap_or_default().to_owned();
        let key = (text("pipeline"), text("request_id"));
        let twice = said.insert(key, decision(result));
        assert!(twice.is_none(), "a second result: {line}");
    }
    said
}

/// Calls whose prompt holds a sentence of the knowledge base, word for word.
fn grounded(mock: &Mock) -> usize {
    let knowledge = std::fs::read_to_string("pipelines/knowledge/support-kb.md").unwrap();
    let lines: Vec<&str> = knowledge.lines().filter(|line| line.len() > 40).collect();
    let chats: Vec<Value> =
        mock.ledger().into_iter().filter(|call| call["operation"] == "chat").collect();
    let holds = |call: &&Value| {
        let prompt = call["prompt"].as_str().unwrap_or_default();
        lines.iter().any(|line| prompt.contains(line))
    };
    chats.iter().filter(holds).count()
}

async fn alike(world: &World) {
    assert!(Path::new("pipelines/samples.yaml").exists());
    let mocks = ["embedded-mock", "real-mock"].map(|name| world.mock_models(name, &[]));
    let embedded =
        tour(world, "embedded", &settings(&mocks[0], &format!("memory:\n{COLLECTIONS}")));
    let services = format!(
        "log: {{ kafka: {{ brokers: \"{}\", create: true }} }}\n\
         registry: {{ http: {{ url: \"{}\" }} }}\n\
         memory:\n  qdrant: {{ url: \"{}\" }}\n{COLLECTIONS}\
         topics:\n  tickets: {{ value: avro, partitions: 3 }}\n  transcripts: {{ value: avro }}\n  \
         readings: {{ value: avro, partitions: 2 }}\n  answers: {{ value: avro }}\n  \
         incidents: {{ value: avro }}\n  call-records: {{ value: avro }}\n",
        world.kafka().brokers(),
        world.registry().url(),
        world.qdrant().url(),
    );
    let services = settings(&mocks[1], &services);
    // Who owns an input topic says what its events are; results and costs are the engine's to register.
    for (topic, schema) in
        [("tickets", "request"), ("transcripts", "request"), ("readings", "sensor")]
    {
        let settings = world.write("register.yaml", &services).display().to_string();
        let register = ["schemas", "register", topic, "--schema", schema, "--settings", &settings];
        let output = world.run(&register);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let real = tour(world, "real", &services);

    assert!(embedded.len() >= 12, "{} results", embedded.len());
    let pipelines: BTreeSet<&str> = embedded.keys().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        pipelines.into_iter().collect::<Vec<_>>(),
        ["call-notes", "sensor-watch", "support-triage"]
    );
    assert_eq!(embedded.keys().collect::<Vec<_>>(), real.keys().collect::<Vec<_>>());
    for (event, decision) in &embedded {
        assert_eq!(decision, &real[event], "{event:?}: on one file, and on real services");
    }
    // A passage that was retrieved is a passage that was sent.
    let answered = |decision: &&Decision| {
        decision.stages.iter().any(|(name, _, status)| name == "answer" && status == "done")
    };
    let answers = embedded.values().filter(answered).count();
    for mock in &mocks {
        assert_eq!(grounded(mock), answers, "prompts with a passage of the knowledge base");
    }
    assert!(answers >= 3, "{answers} answers");
}
