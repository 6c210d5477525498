//! `bench` as a user runs it, on both logs.

use futures::FutureExt;
use serde_json::Value;

use crate::services::Need;
use crate::story::{Story, World};

/// This file's stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story {
            name: "a_pipeline_is_measured_on_the_local_log",
            needs: &[],
            run: |world| async { measured(world, "vivremotion: 1\n", "local") }.boxed_local(),
        },
        Story {
            name: "a_pipeline_is_measured_on_a_broker_and_its_own_topics_stay_empty",
            needs: &[Need::Kafka],
            run: |world| on_a_broker(world).boxed_local(),
        },
    ]
}

async fn on_a_broker(world: &World) {
    let settings = format!(
        "vivremotion: 1\nlog: {{ kafka: {{ brokers: \"{}\", group_prefix: {} }} }}\n",
        world.kafka().brokers(),
        world.name("group"),
    );
    measured(world, &settings, "kafka");
    let output = world.run(&["topics", "--settings", "vivremotion.yaml", "--format", "json"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let source = world.name("requests");
    assert!(said.contains(&format!("{source}.bench")), "{said}");
    assert!(!said.contains(&format!("{source}\"")), "{said}");
}

fn measured(world: &World, settings: &str, log: &str) {
    // Which one does not matter: it is not asked.
    let models = "providers: { far: { dialect: openai, base_url: \"http://127.0.0.1:9/v1\" } }\nmodels: { small: far/m }\n";
    world.write("vivremotion.yaml", &format!("{settings}{models}"));
    world.write(
        "job.yaml",
        &format!(
            "vivremotion: 1\npipeline: {}\nsource: {{ topic: {}, from: earliest }}\n\
             stages: {{ answer: {{ generate: {{ model: small, prompt: \"{{{{ event.text }}}}\" }} }} }}\n\
             sink: {{ topic: {} }}\n",
            world.name("job"),
            world.name("requests"),
            world.name("answers"),
        ),
    );
    world.write(
        "events.ndjson",
        "{\"topic\": \"any\", \"key\": \"k\", \"value\": {\"text\": \"hello\"}}\n",
    );
    let order =
        ["bench", "job.yaml", "--settings", "vivremotion.yaml", "--events", "events.ndjson"];
    let paced = ["--rate", "50", "--duration", "3s", "--warm-up", "1s", "--takes", "20ms"];
    let output = world.run(&[&order[..], &paced, &["--format", "json"]].concat());
    let (said, beside) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}{beside}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (said["log"].as_str(), said["sent"].as_u64()),
        (Some(log), said["answered"].as_u64())
    );
    assert_eq!(said["sent"], 150, "{said}");
    let [latency, call] = [&said["latency_ms"]["p50"], &said["doors_ms"][3][1]];
    assert!(latency.as_f64().unwrap() >= 20.0 && call.as_f64().unwrap() >= 20.0, "{said}");
    let positive = |figure: &Value| figure.as_f64().unwrap() > 0.0;
    assert!(positive(&said["cpu_us"]) && positive(&said["commits_per_second"]), "{said}");
    let bytes = &said["bytes"][&format!("{}.bench", world.name("answers"))];
    assert!(positive(bytes), "{said}");
}
