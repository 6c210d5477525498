//! Many events, slow calls, killed engines: what a stranger's client sees of the results under `read_committed`, and
//! what the model server's own ledger says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::FutureExt;
use serde_json::{Value, json};

use crate::client::{Seen, create, read, read_all, send};
use crate::product::Mock;
use crate::services::Need;
use crate::story::{Story, World};

/// Nano-units of money for one token in, one token out.
const PRICES: (i128, i128) = (1_000, 2_000);

/// This file's stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story {
            name: "five_thousand_events_are_answered_once_in_order_at_their_price",
            needs: &[Need::Kafka],
            run: |world| five_thousand(world).boxed_local(),
        },
        Story {
            name: "a_minute_long_event_holds_nobody_up_and_nothing_committed_is_paid_twice",
            needs: &[Need::Kafka],
            run: |world| minute_long(world).boxed_local(),
        },
        Story {
            name: "an_engine_killed_with_open_calls_is_replaced_by_another",
            needs: &[Need::Kafka],
            run: |world| replaced(world).boxed_local(),
        },
    ]
}

/// One topic in, one out, one stage that asks the mock models.
struct Job {
    brokers: String,
    requests: String,
    answers: String,
    costs: String,
    pipeline: PathBuf,
}

impl Job {
    async fn new(world: &World, partitions: i32, stage: &str) -> Job {
        let job = Job {
            brokers: world.kafka().brokers(),
            requests: world.name("requests"),
            answers: world.name("answers"),
            costs: world.name("costs"),
            pipeline: world.dir().join("job.yaml"),
        };
        let pipeline = format!(
            "vivremotion: 1\n\
             pipeline: job\n\
             source: {{ topic: {}, from: earliest }}\n\
             stages:\n  answer:\n    generate: {{ model: small, prompt: \"{{{{ event.text }}}}\" }}\n{stage}\
             sink: {{ topic: {}, outputs: [answer] }}\n",
            job.requests, job.answers
        );
        world.write("job.yaml", &pipeline);
        create(&job.brokers, &[(&job.requests, partitions), (&job.answers, partitions)]).await;
        job
    }

    fn settings(&self, world: &World, mock: &Mock, model: &str) -> String {
        format!(
            "vivremotion: 1\n\
             log:\n  kafka:\n    brokers: \"{}\"\n    group_prefix: {}\n    create: true\n    \
             client: {{ session.timeout.ms: 10000 }}\n    names: {{ costs: {} }}\n\
             providers: {{ mock: {{ dialect: openai, base_url: \"{}\", max_in_flight: 12000 }} }}\n\
             models: {{ small: mock/{model} }}\n\
             prices: {{ mock/{model}: [ {{ from: 2026-01-01, input: 1.00 USD, output: 2.00 USD }} ] }}\n",
            self.brokers,
            world.name("group"),
            self.costs,
            mock.base_url(),
        )
    }

    /// Events with the number `n` and a key of `keys`, each with a prompt of its own.
    fn send(&self, numbers: std::ops::Range<usize>, keys: usize) {
        let records = numbers.map(|n| (format!("key-{}", n % keys), event(n)));
        send(&self.brokers, &self.requests, records);
    }

    fn answers(&self, within: Duration, count: usize) -> Vec<Seen> {
        read(&self.brokers, &self.answers, within, |seen| seen.len() >= count)
    }
}

fn event(n: usize) -> Value {
    json!({ "id": n.to_string(), "text": format!("What is the number of order {n}?") })
}

/// Every event has exactly one result, all of them completed.
#[track_caller]
fn each_answered_once(answers: &[Seen], count: usize) {
    let ids: BTreeSet<&str> = answers.iter().filter_map(|a| a.value["event_id"].as_str()).collect();
    assert_eq!((answers.len(), ids.len()), (count, count));
    let failed: Vec<&Value> =
        answers.iter().map(|a| &a.value).filter(|v| v["status"] != "completed").collect();
    assert!(failed.is_empty(), "{} failed, the first: {}", failed.len(), failed[0]);
}

/// Offsets of one key's events come in the order they were sent.
#[track_caller]
fn ordered_by_key(answers: &[Seen]) {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for answer in answers {
        let offset = answer.value["origin"]["offset"].as_i64().unwrap();
        if let Some(before) = last.insert(&answer.key, offset) {
            assert!(before < offset, "{}: {offset} came after {before}", answer.key);
        }
    }
}

/// A decimal text as nano-units.
fn nano(amount: &Value) -> i128 {
    let text = amount.as_str().unwrap_or_else(|| panic!("{amount} is no amount"));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<9}").parse().unwrap()
}

/// What the calls of a ledger cost, by its own tokens.
fn price_of(ledger: &[Value]) -> i128 {
    let count = |call: &Value, name: &str| i128::from(call[name].as_u64().unwrap());
    ledger
        .iter()
        .filter(|call| call["delivered"] == true)
        .map(|call| {
            count(call, "prompt_tokens") * PRICES.0 + count(call, "completion_tokens") * PRICES.1
        })
        .sum()
}

async fn five_thousand(world: &World) {
    const EVENTS: usize = 5_000;
    let mock = world.mock_models("mock", &["--latency", "20ms..500ms"]);
    let job = Job::new(world, 4, "").await;
    job.send(0..EVENTS, 1_000);
    let mut engine =
        world.engine("engine", &job.settings(world, &mock, "gpt-small"), &[&job.pipeline]);
    engine.ready();
    let answers = job.answers(Duration::from_secs(120), EVENTS);
    assert!(engine.drain(Duration::from_secs(30)).success(), "{}", engine.last_words());

    // All of what is there, not only as many as were waited for.
    let all = read_all(&job.brokers, &job.answers);
    each_answered_once(&all, EVENTS);
    ordered_by_key(&answers);
    let costs = read_all(&job.brokers, &job.costs);
    let ledger = mock.ledger();
    assert_eq!(ledger.len(), EVENTS);
    let charged: i128 = costs.iter().map(|cost| nano(&cost.value["amount"])).sum();
    assert_eq!(charged, price_of(&ledger), "the cost events against the server's own tokens");
    let told: i128 = all.iter().map(|answer| nano(&answer.value["amount"])).sum();
    assert_eq!(told, charged, "the results' totals against the cost events");
}

async fn minute_long(world: &World) {
    const EVENTS: usize = 5_000;
    const MINUTE: Duration = Duration::from_secs(60);
    let script = world.write(
        "script.yaml",
        "rules:\n  - match: { prompt: \"order 0?\" }\n    do: { latency: 60s }\n",
    );
    let script = script.display().to_string();
    let mock = world.mock_models("mock", &["--latency", "1s..2s", "--script", &script]);
    let job = Job::new(world, 1, "    timeout: 120s\n").await;
    job.send(0..EVENTS + 1, EVENTS + 1);
    let settings = job.settings(world, &mock, "gpt-small");
    let mut engine = world.engine("engine", &settings, &[&job.pipeline]);
    engine.ready();
    mock.reaches("calls", 1, MINUTE);
    let begun = Instant::now();
    let answers = job.answers(Duration::from_secs(50), EVENTS);
    assert!(begun.elapsed() < MINUTE, "the others were read while the first one ran");
    each_answered_once(&answers, EVENTS);
    assert!(mock.sum("most_open") >= 500, "{} calls open at once", mock.sum("most_open"));
    assert!(mock.sum("open") >= 1, "the first event still runs");

    engine.kill();
    engine.restart(world);
    engine.ready();
    let answers = job.answers(2 * MINUTE, EVENTS + 1);
    each_answered_once(&answers, EVENTS + 1);
    assert!(engine.drain(Duration::from_secs(30)).success(), "{}", engine.last_words());
    each_answered_once(&read_all(&job.brokers, &job.answers), EVENTS + 1);
    // Only the call that was open at the kill was made again.
    let again: Vec<Value> = mock.ledger().into_iter().filter(|call| call["repeat"] != 1).collect();
    assert_eq!(again.len(), 1, "{again:?}");
    assert!(again[0]["prompt"].as_str().unwrap().contains("order 0?"), "{again:?}");
}

async fn replaced(world: &World) {
    const MORE: usize = 2_000;
    // One server each, so that it shows whose calls are open.
    let mocks =
        ["first", "second"].map(|name| world.mock_models(name, &["--latency", "500ms..1500ms"]));
    let job = Job::new(world, 8, "").await;
    let mut engines = [("a", &mocks[0]), ("b", &mocks[1])].map(|(name, mock)| {
        let settings = job.settings(world, mock, "gpt-small");
        world.engine(name, &settings, &[&job.pipeline])
    });
    engines.iter_mut().for_each(|engine| engine.ready());
    // Both have partitions, and so a share of what comes, before one of them dies.
    let mut sent = 0;
    while mocks.iter().any(|mock| mock.sum("calls") < 100) {
        assert!(sent < 50_000, "one engine has all the partitions");
        job.send(sent..sent + 100, 500);
        sent += 100;
    }
    let events = sent + MORE;
    job.send(sent..events, 500);
    mocks[0].reaches("open", 100, Duration::from_secs(30));
    engines[0].kill();
    job.answers(Duration::from_secs(180), events);
    assert!(engines[1].drain(Duration::from_secs(30)).success(), "{}", engines[1].last_words());
    let all = read_all(&job.brokers, &job.answers);
    each_answered_once(&all, events);
    ordered_by_key(&all);
}
