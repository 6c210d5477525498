//! Services that are not there when an engine starts: it says which, waits, and goes on when they come.

use std::time::Duration;

use futures::FutureExt;
use serde_json::Value;

use crate::product::Engine;
use crate::services::{Need, free_port, until};
use crate::story::{Story, World};

const WAIT: Duration = Duration::from_secs(60);

/// This file's stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story {
            name: "each_service_that_is_absent_at_the_start_is_named_and_waited_for",
            needs: &[Need::OwnKafka, Need::OwnRegistry, Need::OwnQdrant],
            run: |world| services(world).boxed_local(),
        },
        Story {
            name: "a_provider_that_is_absent_at_the_start_is_named_when_it_is_asked",
            needs: &[],
            run: |world| provider(world).boxed_local(),
        },
        Story {
            name: "commands_say_what_they_can_not_reach_and_end",
            needs: &[],
            run: |world| commands(world).boxed_local(),
        },
    ]
}

const PIPELINE: &str = "vivremotion: 1
pipeline: answers
source: { topic: tickets, from: earliest }
stages:
  kb: { retrieve: { collection: kb, query: \"{{ event.input.text }}\" } }
  answer: { needs: [kb], generate: { model: small, prompt: \"{{ event.input.text }}\" } }
sink: { topic: answers, outputs: [answer] }
";

/// Waits until the engine answers 503 with a line that starts so.
fn waits_for(engine: &Engine, start: &str) {
    let waiting = until(WAIT, || match engine.get("/ready")? {
        (503, reasons) if reasons.lines().any(|line| line.starts_with(start)) => Ok(()),
        (status, reasons) => Err(format!("/ready answers {status}: {reasons}")),
    });
    waiting.unwrap_or_else(|reason| panic!("{reason}\n{}", engine.last_words()));
    assert_eq!(engine.get("/live").unwrap().0, 200);
}

async fn services(world: &World) {
    let (kafka, registry, qdrant) = (world.own_kafka(), world.own_registry(), world.own_qdrant());
    let pipeline = world.write("answers-pipeline.yaml", PIPELINE);
    let settings = format!(
        "vivremotion: 1\n\
         log: {{ kafka: {{ brokers: \"{}\", create: true }} }}\n\
         registry: {{ http: {{ url: \"{}\" }} }}\n\
         memory: {{ qdrant: {{ url: \"{}\" }}, collections: {{ kb: {{}} }} }}\n\
         models: {{ small: simulated/small }}\n\
         topics: {{ tickets: {{ value: avro }}, answers: {{ value: avro }} }}",
        kafka.brokers(),
        registry.url(),
        qdrant.url()
    );
    kafka.kill();
    registry.kill();
    qdrant.kill();
    let mut engine = world.engine("engine", &settings, &[&pipeline]);
    let file = world.dir().join("engine.yaml").display().to_string();
    waits_for(&engine, "waiting for kafka: ");
    kafka.restart();
    waits_for(&engine, "waiting for schema registry: ");
    registry.restart();
    waits_for(&engine, "waiting for memory: ");
    qdrant.restart();
    engine.ready();
    let said = engine.last_words();
    for service in ["kafka", "schema registry", "memory"] {
        assert!(said.contains(&format!("service={service}")), "{said}");
    }
    // And it works: in Avro, where the command gives the event the identity that it needs.
    let words = ["schemas", "register", "tickets", "--schema", "request", "--settings", &file];
    let output = world.run(&words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let event = r#"{"input": {"text": "Where is my invoice?"}}"#;
    let pipelines = pipeline.display().to_string();
    let words =
        ["send", "tickets", event, "--wait", "--settings", &file, "--pipelines", &pipelines];
    let output = world.run(&[&words[..], &["--format", "json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["value"]["status"], "completed", "{answer}");
    assert!(engine.drain(WAIT).success());
}

async fn provider(world: &World) {
    let port = free_port();
    let pipeline =
        world.write("p.yaml", &PIPELINE.replace("  kb: {", "  #").replace("needs: [kb], ", ""));
    let settings = format!(
        "vivremotion: 1\n\
         providers: {{ mock: {{ dialect: openai, base_url: \"http://127.0.0.1:{port}/v1\" }} }}\n\
         models: {{ small: {{ model: mock/small, price: free }} }}"
    );
    let mut engine = world.engine("engine", &settings, &[&pipeline]);
    engine.ready();
    let file = world.dir().join("engine.yaml").display().to_string();
    let pipelines = pipeline.display().to_string();
    let send = |words: &[&str]| {
        let event = r#"{"input": {"text": "Where is my invoice?"}}"#;
        let output = world.run(&[&["send", "tickets", event, "--settings", &file], words].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    send(&[]);
    waits_for(&engine, "waiting for model `small`, which pauses answers: ");
    let mock = world.mock_models_at("mock", port, &[]);
    let answer = send(&["--wait", "--pipelines", &pipelines, "--format", "json"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["value"]["status"], "completed", "{answer}");
    engine.ready();
    assert_eq!(mock.ledger().len(), 2);
    assert!(engine.drain(WAIT).success());
}

async fn commands(world: &World) {
    let kafka = world.write(
        "kafka.yaml",
        &format!(
            "vivremotion: 1\nlog: {{ kafka: {{ brokers: \"127.0.0.1:{}\" }} }}\n",
            free_port()
        ),
    );
    let registry = world.write(
        "registry.yaml",
        &format!(
            "vivremotion: 1\nregistry: {{ http: {{ url: \"http://127.0.0.1:{}\" }} }}\n\
             topics: {{ tickets: {{ value: avro }} }}\nmodels: {{ small: simulated/small }}\n",
            free_port()
        ),
    );
    let (kafka, registry) = (kafka.display().to_string(), registry.display().to_string());
    let pipeline = world.write("p.yaml", PIPELINE).display().to_string();
    let cases: [(&[&str], &str); 4] = [
        (&["topics", "--settings", &kafka], "no broker"),
        (&["send", "tickets", "{}", "--settings", &kafka], "no broker"),
        (&["schemas", "list", "--settings", &registry], "the schema registry does not answer"),
        (
            &["check", &pipeline, "--registry", "--settings", &registry],
            "the schema registry does not answer",
        ),
    ];
    for (words, expected) in cases {
        let output = world.run(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
    }
}
