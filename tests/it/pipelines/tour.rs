//! The sample events through the whole corridor, without a log: simulated models, local memory, JSON or Avro in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use vivremotion::app::lines::{Shared, line};
use vivremotion::app::{connect, models};
use vivremotion::base::clock::{Clock, SystemClock};
use vivremotion::budget::{Limits, Wallet};
use vivremotion::codec::registry::embedded::Embedded;
use vivremotion::codec::topics::{Codecs, Content, Format};
use vivremotion::context::memory::import::{Form, Importer, Source};
use vivremotion::context::memory::shelf::Collections;
use vivremotion::context::memory::teller::Teller;
use vivremotion::flow::consume::Consumed;
use vivremotion::flow::emit::{Emitted, Outcome};
use vivremotion::flow::identity::Expressions;
use vivremotion::flow::outage::Outages;
use vivremotion::flow::{Line, carry};
use vivremotion::model::Purse;
use vivremotion::pipeline::Known;
use vivremotion::pipeline::samples::Sample;
use vivremotion::settings::{self, Settings};
use vivremotion::stage::Wiring;
use vivremotion::stage::http::Http;
use vivremotion::stream::{Epoch, Record, TopicPartition};

use super::{WithKey, events, samples, shipped_pipelines};

/// Fills every collection with the sample memory, as `memory import` does.
async fn fill(collections: &Collections) {
    for (name, files) in samples().memory {
        let shelf = collections.get(&name).unwrap();
        let importer = Importer {
            shelf,
            tenant: "*".into(),
            teller: Arc::new(Teller::default()),
            clock: &SystemClock,
        };
        let source = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let form = Form::of(&name).unwrap();
            Source { text: std::fs::read_to_string(path).unwrap(), name, form }
        };
        let sources = files.iter().map(source).collect();
        let summary = importer.import(sources, &mut |_, _| {}).await.unwrap();
        assert!(summary.passages >= if &*name == "support-kb" { 20 } else { 10 }, "{summary:?}");
    }
}

/// The corridors of all shipped pipelines, by the topic they read.
struct Tour {
    lines: HashMap<Arc<str>, Line>,
    codecs: Arc<Codecs>,
    _folder: tempfile::TempDir,
}

async fn tour(format: Format) -> Tour {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let registry = Arc::new(Embedded::in_memory().unwrap());
    let inputs = ["tickets", "transcripts", "readings"].map(|topic| (Arc::from(topic), format));
    let codecs = Arc::new(Codecs::new(registry, inputs));
    for (topic, content) in [
        ("tickets", Content::Request),
        ("transcripts", Content::Request),
        ("readings", Content::Sensor),
    ] {
        codecs.prepare(topic, content, true).await.unwrap();
    }
    let plans = shipped_pipelines(&Known::default()).plans;
    let facts = || plans.iter().flat_map(|plan| &plan.stages).map(|stage| stage.kind.facts());
    let text = format!("vivremotion: 1\nstate: {:?}\n", folder.path());
    // As without any settings, but for the folder.
    let settings = settings::read("settings", &text, &WithKey).unwrap();
    let settings = Settings { open: true, ..settings };
    let asked: BTreeSet<_> = facts().flat_map(|facts| facts.models).collect();
    let named: BTreeSet<_> = facts().filter_map(|facts| facts.collection).collect();
    let mut wiring = Wiring {
        models: models::build(&settings, &asked, &clock).unwrap(),
        collections: Arc::default(),
        http: Http::new(clock.clone()),
    };
    let collections = connect::collections(&settings, &named, &wiring).await.unwrap();
    fill(&collections).await;
    wiring.collections = Arc::new(collections);
    let shared = Shared {
        cluster: "test".into(),
        codecs: codecs.clone(),
        wiring,
        clock: clock.clone(),
        outages: Outages::default(),
        currency: "USD".into(),
        catalogue: None,
        partitions: HashMap::new(),
    };
    let lines = plans.into_iter().map(|plan| {
        let limits = Limits { per_event: plan.budget.per_event, accounts: Vec::new() };
        let wallet = Arc::new(Wallet::new(limits, "USD".into(), clock.clone()));
        let purses = Box::new(move || Arc::new(wallet.event()) as Arc<dyn Purse>);
        let topic = plan.source.topic.clone();
        (topic, line(&shared, plan, Expressions::default(), purses).unwrap())
    });
    Tour { lines: lines.collect(), codecs, _folder: folder }
}

impl Tour {
    async fn carry(&self, sample: &Sample, offset: usize) -> Emitted {
        let value = self.codecs.for_topic(&sample.topic).encode(&sample.value).await.unwrap();
        let bytes = |text: &String| Bytes::from(text.clone());
        let record = Record {
            at: TopicPartition { topic: sample.topic.clone(), partition: 0 },
            offset: i64::try_from(offset).unwrap(),
            timestamp: 1_763_280_000_000,
            key: sample.key.as_ref().map(bytes),
            value: Some(value),
            headers: sample
                .headers
                .iter()
                .map(|(n, v)| (n.clone().into(), Some(bytes(v))))
                .collect(),
        };
        let consumed = Consumed::new(record, Epoch(1), SystemClock.now());
        carry(&self.lines[&sample.topic], Arc::new(consumed)).await
    }
}

/// The JSON values that an event left in a topic.
fn written(event: &Emitted, topic: &str) -> Vec<Value> {
    let outputs = event.outputs.iter().filter(|output| &*output.topic == topic);
    outputs.map(|o| serde_json::from_slice(o.value.as_ref().unwrap()).unwrap()).collect()
}

fn status(result: &Value, stage: &str) -> String {
    let stages = result["stages"].as_array().unwrap();
    let run = stages.iter().find(|run| run["name"] == stage).unwrap();
    run["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_sample_event_comes_through() {
    let tour = tour(Format::Json).await;
    let (mut outcomes, mut commands) = (BTreeMap::<(Arc<str>, &str), usize>::new(), 0);
    for (offset, sample) in events().iter().enumerate() {
        let event = tour.carry(sample, offset).await;
        let fine = matches!(event.outcome, Outcome::Completed | Outcome::Skipped);
        assert!(fine, "{}: {:?}", sample.value["id"], event.refusal);
        let key = (sample.topic.clone(), event.outcome.word());
        *outcomes.entry(key).or_default() += 1;
        match &*sample.topic {
            "tickets" => ticket(&event),
            "transcripts" => transcript(&event, sample),
            _ => commands += reading(&event, sample),
        }
    }
    let of = |topic: &str, outcome| outcomes.get(&(topic.into(), outcome)).copied().unwrap_or(0);
    assert_eq!((of("tickets", "completed"), of("transcripts", "completed")), (9, 3));
    assert!(of("readings", "skipped") > 20, "the filter passes vibration alone: {outcomes:?}");
    assert!(commands > 0, "no loud reading led to a command");
}

fn ticket(event: &Emitted) {
    let result = &written(event, "answers")[0];
    let label = result["outputs"]["classify"]["value"].as_str().unwrap();
    let spam = label.contains("spam");
    assert_eq!(status(result, "answer"), if spam { "skipped" } else { "done" }, "{label}");
    assert_eq!(result["outputs"].get("answer").is_none(), spam);
    let kb = result["stages"].as_array().unwrap().iter().find(|run| run["name"] == "kb").unwrap();
    assert!(!kb["passages"].as_array().unwrap().is_empty(), "{result}");
    let calls = if spam { 2 } else { 3 };
    assert_eq!(written(event, "vivremotion.costs").len(), calls);
}

fn transcript(event: &Emitted, sample: &Sample) {
    let result = &written(event, "call-records")[0];
    let notes: Value =
        serde_json::from_str(result["outputs"]["notes"]["value"].as_str().unwrap()).unwrap();
    let text = sample.value["input"]["text"].as_str().unwrap();
    let summary = notes["summary"].as_array().unwrap();
    assert_eq!(summary.len(), text.split("\n\n").count());
    assert!(summary.iter().all(Value::is_string), "{notes}");
    assert_eq!(notes["call"], Value::from(sample.key.clone()));
}

/// The number of commands.
fn reading(event: &Emitted, sample: &Sample) -> usize {
    let loud = sample.value["metric"] == "vibration"
        && sample.value["value"].as_f64() > Some(7.1)
        && sample.value["quality"] == "good";
    let (results, commands) = (written(event, "incidents"), written(event, "press-commands"));
    if !loud {
        assert!(event.outputs.is_empty(), "a quiet reading left {:?}", event.outputs);
        return 0;
    }
    let manual = results[0]["stages"].as_array().unwrap();
    let manual = manual.iter().find(|run| run["name"] == "manual").unwrap();
    let machine = sample.value["attributes"]["machine"].as_str().unwrap();
    let prefix = machine.replace('-', "").to_lowercase();
    let ids = manual["passages"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap());
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    let about = |id: &&str| id.starts_with(&format!("{prefix}-vibration"));
    assert!(ids.len() == 3 && ids.iter().all(about), "{machine}: {ids:?}");
    if let Some(command) = commands.first() {
        assert_ne!(command["action"], "none");
        assert_eq!(command["expires_in"], "60s");
    }
    commands.len()
}

#[tokio::test]
async fn json_and_avro_events_fare_alike() {
    let (json, avro) = (tour(Format::Json).await, tour(Format::Avro).await);
    let mut compared = 0;
    for (offset, sample) in events().iter().enumerate() {
        let (one, other) = (json.carry(sample, offset).await, avro.carry(sample, offset).await);
        assert_eq!(one.outcome, other.outcome, "{}", sample.value["id"]);
        for topic in ["answers", "call-records", "incidents", "press-commands"] {
            let outputs = |event: &Emitted| -> Vec<(Value, Vec<String>)> {
                let states = |result: &Value| {
                    let runs = result["stages"].as_array().into_iter().flatten();
                    runs.map(|run| format!("{} {} {}", run["name"], run["status"], run["passages"]))
                        .collect()
                };
                let part = |value: &Value| value.get("outputs").unwrap_or(value).clone();
                written(event, topic).iter().map(|v| (part(v), states(v))).collect()
            };
            assert_eq!(outputs(&one), outputs(&other), "{}", sample.value["id"]);
            compared += outputs(&one).len();
        }
        assert_ne!(one.outcome, Outcome::Failed);
    }
    assert!(compared >= 16, "{compared}");
}
