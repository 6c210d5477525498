//! `verify` and `replay` as an operator runs them, on a real broker.

use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::{Value, json};
use vivremotion::stream::kafka::{KafkaConfig, KafkaLog};
use vivremotion::stream::{From, Log, Output, Record};

use crate::client::{create, read, send};
use crate::product::{Engine, Mock};
use crate::services::Need;
use crate::story::{Story, World};

const WAIT: Duration = Duration::from_secs(90);
const EVENTS: usize = 300;

/// This file's stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story {
            name: "an_audit_finds_nothing_after_a_kill_and_what_was_tampered_with_after_it",
            needs: &[Need::Kafka],
            run: |world| audited(world).boxed_local(),
        },
        Story {
            name: "dead_letters_come_back_once_and_are_answered",
            needs: &[Need::Kafka],
            run: |world| brought_back(world).boxed_local(),
        },
    ]
}

/// One topic in, one out, one stage that asks the mock models.
struct Desk<'w> {
    world: &'w World,
    requests: String,
    answers: String,
    pipeline: PathBuf,
}

impl<'w> Desk<'w> {
    async fn new(world: &'w World) -> Desk<'w> {
        let (requests, answers) = (world.name("requests"), world.name("answers"));
        let pipeline = world.write(
            "job.yaml",
            &format!(
                "vivremotion: 1\npipeline: job\nsource: {{ topic: {requests}, from: earliest }}\n\
                 stages: {{ answer: {{ generate: {{ model: small, prompt: \"{{{{ event.text }}}}\" }} }} }}\n\
                 sink: {{ topic: {answers} }}\n"
            ),
        );
        create(&world.kafka().brokers(), &[(&requests, 3), (&answers, 3)]).await;
        Desk { world, requests, answers, pipeline }
    }

    /// Settings with that model of the mock.
    fn settings(&self, mock: &Mock, model: &str) -> String {
        format!(
            "vivremotion: 1\nlog:\n  kafka:\n    brokers: \"{}\"\n    group_prefix: {}\n    create: true\n    \
             commit_interval: 10ms\n    client: {{ session.timeout.ms: 10000 }}\n    names: {{ costs: {} }}\n\
             providers: {{ mock: {{ dialect: openai, base_url: \"{}\", max_in_flight: 500 }} }}\n\
             models: {{ small: mock/{model} }}\n\
             prices: {{ mock/{model}: [ {{ from: 2026-01-01, input: 1.00 USD, output: 2.00 USD }} ] }}\n",
            self.world.kafka().brokers(),
            self.world.name("group"),
            self.world.name("costs"),
            mock.base_url(),
        )
    }

    fn engine(&self, name: &str, settings: &str) -> Engine {
        self.world.write("cli.yaml", settings);
        let mut engine = self.world.engine(name, settings, &[&self.pipeline]);
        engine.ready();
        engine
    }

    fn send(&self, count: usize) {
        let event = |n: usize| json!({ "id": n.to_string(), "text": format!("order {n}"), "n": n });
        let records = (0..count).map(|n| (format!("key-{}", n % 20), event(n)));
        send(&self.world.kafka().brokers(), &self.requests, records);
    }

    /// Waits for so many results.
    fn answered(&self, count: usize) -> Vec<Value> {
        let brokers = self.world.kafka().brokers();
        let seen = read(&brokers, &self.answers, WAIT, |seen| seen.len() >= count);
        assert_eq!(seen.len(), count);
        seen.into_iter().map(|seen| seen.value).collect()
    }

    /// Runs a command over the pipeline: its exit code and what it says as JSON.
    fn command(&self, verb: &str, more: &[&str]) -> (Option<i32>, Value) {
        let pipeline = self.pipeline.display().to_string();
        let mut all = vec![verb, pipeline.as_str(), "--settings", "cli.yaml", "--format", "json"];
        all.extend(more);
        let output = self.world.run(&all);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = serde_json::from_str(&said).unwrap_or_else(|error| {
            panic!("{error}: {said}{}", String::from_utf8_lossy(&output.stderr))
        });
        (output.status.code(), said)
    }

    async fn records(&self, topic: &str) -> (KafkaLog, Vec<Record>) {
        let log = KafkaLog::new(KafkaConfig {
            brokers: self.world.kafka().brokers(),
            client: Vec::new(),
            group_prefix: "stories".to_owned(),
        });
        let log = log.unwrap();
        let mut follower = log.follow(topic, From::Earliest).await.unwrap();
        let mut found = Vec::new();
        while !follower.caught_up() {
            found.extend(follower.next(Duration::from_secs(5)).await.unwrap());
        }
        (log, found)
    }
}

/// Codes of all findings, with topic, partition and offset.
fn findings(said: &Value) -> Vec<(String, Value)> {
    let checks = said["checks"].as_array().unwrap().iter();
    let all = checks.flat_map(|check| check["findings"].as_array().unwrap());
    all.map(|finding| {
        let code =
            format!("{} {}", finding["check"].as_str().unwrap(), finding["code"].as_str().unwrap());
        (code, finding["spot"].clone())
    })
    .collect()
}

async fn audited(world: &World) {
    let ledger = world.dir().join("ledger.ndjson");
    let ledger_file = ledger.display().to_string();
    let mock = world.mock_models("mock", &["--latency", "5ms..50ms", "--ledger", &ledger_file]);
    let desk = Desk::new(world).await;
    let mut engine = desk.engine("engine", &desk.settings(&mock, "gpt-small"));
    desk.send(EVENTS);
    mock.reaches("delivered", EVENTS as u64 / 3, WAIT);
    engine.kill();
    engine.restart(world);
    engine.ready();
    // Asked while it still works: whatever is not done yet is no finding.
    let (code, said) = desk.command("verify", &[]);
    assert_eq!((code, said["found"].clone()), (Some(0), json!(0)), "{said:#}");
    desk.answered(EVENTS);
    assert!(engine.drain(WAIT).success());
    let (code, said) = desk.command("verify", &["--finished", "--ledger", &ledger_file]);
    assert_eq!((code, said["found"].clone()), (Some(0), json!(0)), "{said:#}");
    assert_eq!((said["events"].clone(), said["done"].clone()), (json!(EVENTS), json!(EVENTS)));

    // A result that stands there twice.
    let (log, results) = desk.records(&desk.answers).await;
    let first = results.iter().find(|record| record.at.partition == 1).unwrap();
    let Record { at, key, value, headers, .. } = first.clone();
    let partition = Some(at.partition);
    let copy = Output { topic: at.topic, partition, key, value, headers, timestamp: None };
    log.send(vec![copy]).await.unwrap();
    // And a transaction of somebody who never ends it.
    let somebody: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", world.kafka().brokers())
        .set("transactional.id", world.name("somebody"))
        .set("transaction.timeout.ms", "120000")
        .create()
        .unwrap();
    somebody.init_transactions(WAIT).unwrap();
    somebody.begin_transaction().unwrap();
    let record = BaseRecord::<str, str>::to(&desk.answers).partition(2).payload("{}");
    assert!(somebody.send(record).is_ok());
    somebody.flush(WAIT).unwrap();
    let (code, said) = desk.command("verify", &["--finished"]);
    let found = findings(&said);
    assert_eq!((code, found.len()), (Some(1), 2), "{said:#}");
    assert_eq!(found[0].0, "C1 result-twice");
    assert_eq!(found[0].1["partition"], 1);
    assert!(found[0].1["offset"].as_i64().unwrap() > first.offset);
    assert_eq!((found[1].0.as_str(), &found[1].1["partition"]), ("C6 open-transaction", &json!(2)));
    somebody.abort_transaction(WAIT).unwrap();
}

async fn brought_back(world: &World) {
    let mock = world.mock_models("mock", &[]);
    let desk = Desk::new(world).await;
    let mut engine = desk.engine("engine", &desk.settings(&mock, "m+status-400"));
    desk.send(20);
    desk.answered(20);
    assert!(engine.drain(WAIT).success());

    let (code, said) = desk.command("replay", &["--code", "invalid-request"]);
    assert_eq!((code, &said["events"], &said["sent"]), (Some(0), &json!(20), &Value::Null));
    assert_eq!(said["counts"]["codes"], json!({ "invalid-request": 20 }));
    let some = ["--where", "event.n < 15", "--rate", "200", "--yes"];
    let (code, said) = desk.command("replay", &some);
    assert_eq!((code, &said["sent"]), (Some(0), &json!(15)), "{said:#}");
    let (_, said) = desk.command("replay", &[]);
    let counts = (&said["events"], &said["counts"]["on_their_way"]);
    assert_eq!(counts, (&json!(5), &json!(15)), "{said:#}");

    let mut engine = desk.engine("mended", &desk.settings(&mock, "gpt-small"));
    let results = desk.answered(35);
    let again = results.iter().filter(|result| result["replay_of"] == result["id"]).count();
    let completed = results.iter().filter(|result| result["status"] == "completed").count();
    assert_eq!((again, completed), (15, 15), "{results:#?}");
    assert!(engine.drain(WAIT).success());
    let (_, said) = desk.command("replay", &["--yes"]);
    let counts = (&said["sent"], &said["counts"]["answered"]);
    assert_eq!(counts, (&json!(5), &json!(15)), "{said:#}");
    let (code, said) = desk.command("verify", &[]);
    assert_eq!((code, &said["found"], &said["lag"]), (Some(0), &json!(0), &json!(5)), "{said:#}");
}
