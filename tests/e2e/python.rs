//! An application with nothing of ours installed: Python with its own Kafka client, as the README shows it.

use std::process::Command;
use std::time::Duration;

use futures::FutureExt;

use crate::client::create;
use crate::services::Need;
use crate::story::{Story, World};

/// This file's stories.
pub fn stories() -> Vec<Story> {
    vec![Story {
        name: "python_sends_json_and_reads_json",
        needs: &[Need::Kafka, Need::Python],
        run: |world| plain(world).boxed_local(),
    }]
}

const PIPELINE: &str = "\
vivremotion: 1
pipeline: answering
source: { topic: TICKETS, from: earliest }
stages:
  answer: { generate: { model: small, prompt: \"{{ event.input.text }}\" } }
sink: { topic: ANSWERS, outputs: [answer] }
";

/// Runs a script against an engine whose topics hold `format`, and gives what it prints.
async fn converse(world: &World, format: &str, registry: &str, mut script: Command) -> String {
    let (tickets, answers) = (world.name("tickets"), world.name("answers"));
    let brokers = world.kafka().brokers();
    let pipeline =
        world.write("p.yaml", &PIPELINE.replace("TICKETS", &tickets).replace("ANSWERS", &answers));
    create(&brokers, &[(&tickets, 2), (&answers, 1)]).await;
    let mock = world.mock_models("mock", &[]);
    let settings = format!(
        "vivremotion: 1\n\
         log: {{ kafka: {{ brokers: \"{brokers}\", group_prefix: {}, create: true, names: {{ costs: {} }} }} }}\n\
         {registry}\
         providers: {{ mock: {{ dialect: openai, base_url: \"{}\" }} }}\n\
         models: {{ small: {{ model: mock/gpt-small, price: free }} }}\n\
         topics:\n  {tickets}: {{ value: {format} }}\n  {answers}: {{ value: {format} }}\n",
        world.name("group"),
        world.name("costs"),
        mock.base_url(),
    );
    let mut engine = world.engine("engine", &settings, &[&pipeline]);
    engine.ready();
    script.env("KAFKA_BROKERS", &brokers).env("TICKETS", &tickets).env("ANSWERS", &answers);
    let output = tokio::task::spawn_blocking(move || script.output().unwrap()).await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n{}", engine.last_words());
    assert!(engine.drain(Duration::from_secs(30)).success(), "{}", engine.last_words());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn plain(world: &World) {
    let said = converse(world, "json", "", world.python().script("exchange.py")).await;
    assert!(said.starts_with("completed answer"), "{said}");
}
