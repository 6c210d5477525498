//! The job that every row runs: two stages one after another, so that a finished one can be told from the one in flight;
//! keys, poison, models with latency and errors. And how it is fed and what it left behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::checker::{Answer, Charge, Facts, Journaled, Kind, Opening, Place, Sent};
use crate::clients::{Isolation, Seen, Sender, create, read_all};
use crate::mock::Mock;
use crate::time;
use crate::watch::Scene;

/// Two undecodable or failing events in so many.
const POISON: u64 = 400;
/// The model refuses prompts with this word.
const REFUSED: &str = "refuse-me";
/// Bytes of an answer that is too large, and what the topic of results takes where there are such.
const LARGE: usize = 120_000;
const TAKES: &str = "60000";
/// Odd records, by number.
const EMPTY: u64 = 61;
const NO_KEY: u64 = 62;
const MANY_HEADERS: u64 = 63;
const NO_TEXT: u64 = 64;
const FRAMED: u64 = 65;
const HUGE: u64 = 66;
/// Bytes of an event that is huge, and what its topic takes where there are odd ones.
const HUGE_BYTES: usize = 5 << 20;
const HUGE_TAKES: &str = "8000000";
/// Partitions of the journal, as of one that the engine makes: inputs share them.
const JOURNAL: i32 = 4;
/// What ends the process that runs it.
const KILLER: &str = "kill-me";
/// Events whose answers are all compared with what the model says.
const MANY: usize = 20_000;
/// The key of the provider, and what is private in each event: neither may stand in logs, metrics or headers.
pub const SECRETS: [&str; 2] = ["sk-nobody-may-see-this", "private@example.org"];
/// Stages, in order.
pub const STAGES: [&str; 2] = ["first", "second"];

/// What a row wants of its job.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Events.
    pub events: usize,
    /// Instances.
    pub instances: usize,
    /// Partitions of source and sink.
    pub partitions: i32,
    /// Keys.
    pub keys: u64,
    /// Events a second.
    pub rate: f64,
    /// Of the models: p50 and p99.
    pub latency: &'static str,
    /// Share of calls that fail with 503.
    pub errors: f64,
    /// Whether some events are undecodable or fail.
    pub poison: bool,
    /// So many events at the beginning, one a partition in turn, are not answered when first asked.
    pub stuck: u64,
    /// So many events early on end the process that runs them, where `kill-me` is armed.
    pub killers: u64,
    /// So many events have an answer that the topic of results does not take.
    pub oversized: u64,
    /// Whether there are records without key, without value, with ten thousand headers, of bytes that are no text, framed
    /// as Avro where JSON is read, and of five megabytes, which the dead letter topic does not take.
    pub odd: bool,
    /// Further rules of the models' script, one a line.
    pub rules: String,
    /// Further keys of `log.kafka.client`.
    pub client: &'static str,
    /// Keys of `engine`.
    pub engine: &'static str,
    /// Keys of a stage beside its kind.
    pub stage: &'static str,
    /// Further keys of the pipeline.
    pub pipeline: &'static str,
}

impl Plan {
    /// The defaults of the matrix, for so many events over so many seconds.
    pub fn new(events: usize, seconds: f64) -> Plan {
        Plan {
            events,
            instances: 3,
            partitions: 12,
            keys: 500,
            rate: events as f64 / seconds,
            latency: "300ms..3s",
            errors: 0.05,
            poison: true,
            stuck: 0,
            killers: 0,
            odd: false,
            oversized: 0,
            rules: String::new(),
            client: "session.timeout.ms: 10000",
            // What dies from outside is no poison.
            engine: "drain: 10s, crash_loop: 0",
            stage: "    retry: { attempts: 8 }\n",
            pipeline: "",
        }
    }

    /// What event `n` is meant to come to.
    pub fn kind(&self, n: u64) -> Kind {
        match n % POISON {
            _ if n < self.stuck => Kind::Good,
            _ if self.is_killer(n) => Kind::Fatal,
            _ if self.odd && n == EMPTY => Kind::Empty,
            _ if self.odd && matches!(n, NO_TEXT | FRAMED | HUGE) => Kind::Undecodable,
            _ if self.is_oversized(n) => Kind::Failing,
            17 if self.poison => Kind::Undecodable,
            217 if self.poison => Kind::Failing,
            _ => Kind::Good,
        }
    }
}

impl Plan {
    fn is_killer(&self, n: u64) -> bool {
        n % 50 == 20 && n / 50 < self.killers
    }

    /// Whether its answer is too large.
    pub fn is_oversized(&self, n: u64) -> bool {
        n % 50 == 30 && n / 50 < self.oversized
    }
}

/// A job on a broker.
pub struct Job {
    /// What was wanted.
    pub plan: Plan,
    /// Where strangers reach the broker.
    pub brokers: String,
    /// Its topics and its group.
    pub scene: Scene,
    /// Topic of the cost events.
    costs: String,
    /// Intents are awaited.
    pub strict: bool,
    /// Its models.
    pub mock: Mock,
    /// The pipeline's file.
    pub pipeline: PathBuf,
    prefix: String,
}

impl Job {
    /// Makes topics, starts the models, writes the pipeline. `prefix` is a name that no other job has.
    pub fn new(plan: Plan, brokers: &str, prefix: &str, dir: &Path, seed: u64) -> Job {
        let name = |end: &str| format!("{prefix}.{end}");
        let scene = Scene {
            brokers: brokers.to_owned(),
            source: name("in"),
            sink: name("out"),
            letters: format!("{}.job.dlq", name("in")),
            group: format!("{prefix}.job"),
        };
        let (n, letters) = (plan.partitions, [("message.timestamp.type", "LogAppendTime")]);
        let limited = [("max.message.bytes", TAKES)];
        let sink: &[(&str, &str)] = if plan.oversized > 0 { &limited } else { &[] };
        let wide = [("max.message.bytes", HUGE_TAKES)];
        let source: &[(&str, &str)] = if plan.odd { &wide } else { &[] };
        create(
            brokers,
            &[(&scene.source, n, source), (&scene.sink, n, sink), (&scene.letters, n, &letters)],
        );
        // When the broker has an entry is judged by, not when the engine sent it.
        let journal = format!("{}.journal", scene.group);
        create(
            brokers,
            &[(&journal, n.min(JOURNAL), &[("message.timestamp.type", "LogAppendTime")])],
        );
        let mock = models(&plan, dir, seed);
        let pipeline = pipeline(&plan, dir, &scene.source, &scene.sink);
        let costs = name("costs");
        let brokers = brokers.to_owned();
        Job {
            plan,
            brokers,
            scene,
            costs,
            strict: false,
            mock,
            pipeline,
            prefix: prefix.to_owned(),
        }
    }

    /// Settings of an instance that reaches the broker at `brokers`; its name in the ledger is `index`.
    pub fn settings(&self, index: usize, brokers: &str) -> String {
        let Plan { client, engine, .. } = &self.plan;
        let model = format!("mock/gpt+i{index}");
        format!(
            "vivremotion: 1\n\
             log:\n  kafka:\n    brokers: \"{brokers}\"\n    group_prefix: {prefix}\n    create: true\n    \
             commit_interval: 50ms\n    instance: i{index}\n    client: {{ {client}, client.id: i{index} }}\n    \
             names: {{ costs: {costs} }}\n\
             providers: {{ mock: {{ dialect: openai, base_url: \"{url}\", api_key: \"${{env:MOCK_KEY}}\", max_in_flight: 12000 }} }}\n\
             models: {{ small: \"{model}\" }}\n\
             prices: {{ \"{model}\": [ {{ from: 2026-01-01, input: 1.00 USD, output: 2.00 USD }} ] }}\n\
             engine: {{ {engine}, journal: {{ intents: {intents} }} }}\n",
            intents = if self.strict { "strict" } else { "fast" },
            prefix = self.prefix,
            costs = self.costs,
            url = self.mock.base_url(),
        )
    }

    /// Begins to send: the plan's events from `first` on, and more of them while `more` says so. The thread ends when
    /// everything is acknowledged.
    pub fn feed(&self, seed: u64, first: u64, more: &Arc<AtomicBool>) -> JoinHandle<Vec<Sent>> {
        let (plan, brokers, more) = (self.plan.clone(), self.brokers.clone(), Arc::clone(more));
        let topic = self.scene.source.clone();
        std::thread::spawn(move || {
            let sender = Sender::new(&brokers, &topic);
            let mut draw = StdRng::seed_from_u64(seed);
            let began = Instant::now();
            let mut keys = BTreeMap::new();
            for n in first.. {
                if n >= plan.events as u64 && !more.load(Ordering::SeqCst) {
                    break;
                }
                let due = Duration::from_secs_f64((n - first) as f64 / plan.rate);
                if let Some(early) = due.checked_sub(began.elapsed()) {
                    time::pause(early);
                }
                let stuck = n < plan.stuck;
                let key = match stuck {
                    // Nobody shares its lane.
                    true => format!("stuck-{n}"),
                    false => format!("key-{}", draw.random_range(0..plan.keys)),
                };
                let partition = stuck.then(|| i32::try_from(n).unwrap_or(0) % plan.partitions);
                let (odd, kind) = (|number| plan.odd && n == number, plan.kind(n));
                let key = if odd(NO_KEY) { String::new() } else { key };
                let bytes = match n {
                    NO_TEXT if plan.odd => vec![0xff, 0xfe, 0x00, 0xc3],
                    FRAMED if plan.odd => vec![0, 0, 0, 0x27, 0x0f, 2, 4],
                    HUGE if plan.odd => huge(n),
                    _ => value(n, kind),
                };
                sender.send(
                    n,
                    (!key.is_empty()).then_some(key.as_str()),
                    (kind != Kind::Empty).then_some(bytes.as_slice()),
                    partition,
                    if odd(MANY_HEADERS) { 10_000 } else { 0 },
                );
                keys.insert(n, key);
            }
            let places = sender.places();
            let sent = keys.into_iter().filter_map(|(n, key)| {
                Some(Sent { n, key, at: *places.get(&n)?, kind: plan.kind(n) })
            });
            sent.collect()
        })
    }

    fn journal(&self) -> (Vec<Journaled>, Vec<Opening>) {
        let topic = format!("{}.journal", self.scene.group);
        let journal = read_all(&self.brokers, &topic, Isolation::Uncommitted);
        journaled(journal.iter().map(|one| Page {
            key: &one.key,
            value: &one.value,
            offset: one.at.1,
            at: one.timestamp,
        }))
    }

    /// How often a partition was given to somebody so far.
    pub fn openings(&self) -> usize {
        self.journal().1.len()
    }

    /// What is there once all is quiet.
    pub fn facts(&self, sent: Vec<Sent>) -> Facts {
        let Scene { brokers, sink, letters, .. } = &self.scene;
        let settled = read_all(brokers, sink, Isolation::Committed);
        let raw = read_all(brokers, sink, Isolation::Uncommitted);
        let letters = read_all(brokers, letters, Isolation::Committed);
        let charges = read_all(brokers, &self.costs, Isolation::Committed);
        let calls = self.mock.calls();
        let (journal, openings) = self.journal();
        let mut ends = BTreeMap::new();
        for one in &sent {
            let end = ends.entry(one.at.0).or_insert(0);
            *end = (one.at.1 + 1).max(*end);
        }
        Facts {
            expected: expected(&self.mock, &sent),
            ends,
            answers: settled.iter().map(|one| answer(one.at, &one.key, &one.value)).collect(),
            unexplained: letters.iter().filter(|one| !is_explained(one)).map(origin).collect(),
            letters: letters.iter().map(origin).collect(),
            charges: charges.iter().map(|one| charge(&one.value)).collect(),
            calls,
            journal,
            openings,
            settled: settled.iter().map(Seen::sighting).collect(),
            raw: raw.iter().map(Seen::sighting).collect(),
            sent,
            ..Facts::default()
        }
    }
}

/// Starts the models of a plan.
pub fn models(plan: &Plan, dir: &Path, seed: u64) -> Mock {
    let stuck: String = (0..plan.stuck)
        .map(|n| {
            format!(
                "  - {{ match: {{ prompt: \"Order {n} first:\" }}, times: 1, do: {{ fault: hang, rate: 1.0 }} }}\n"
            )
        })
        .collect();
    let large: String = (0..)
        .map_while(|i| (i < plan.oversized).then_some(i * 50 + 30))
        .map(|n| {
            format!(
                "  - {{ match: {{ prompt: \"Order {n} first:\" }}, do: {{ answer: \"{}\", rate: 0 }} }}\n",
                noise(n, LARGE)
            )
        })
        .collect();
    let rules = format!(
        "rules:\n{stuck}{large}{}  - {{ match: {{ prompt: \"{REFUSED}\" }}, do: {{ status: 400, rate: 1.0 }} }}\n",
        plan.rules
    );
    let script = dir.join("script.yaml");
    std::fs::write(&script, rules).unwrap();
    let mut arguments = vec![format!("--latency={}", plan.latency), format!("--seed={seed}")];
    arguments.push(format!("--script={}", script.display()));
    if plan.errors > 0.0 {
        arguments.push(format!("--error-rate={}", plan.errors));
    }
    Mock::start(dir, "models", &arguments)
}

/// Text that does not shrink when it is compressed.
fn noise(seed: u64, bytes: usize) -> String {
    let mut draw = StdRng::seed_from_u64(seed);
    (0..bytes).map(|_| char::from(draw.random_range(b'a'..=b'z'))).collect()
}

/// Writes the pipeline of a plan.
pub fn pipeline(plan: &Plan, dir: &Path, source: &str, sink: &str) -> PathBuf {
    let Plan { stage, pipeline, .. } = plan;
    let tokens = if plan.oversized > 0 { "max_tokens: 40000, " } else { "" };
    let text = format!(
        "vivremotion: 1\npipeline: job\n{pipeline}\
         source: {{ topic: {source}, from: earliest }}\n\
         stages:\n  first:\n    generate: {{ model: small, {tokens}prompt: \"Order {{{{ event.id }}}} first: {{{{ event.text }}}}\" }}\n{stage}  \
         second:\n    needs: [first]\n    generate: {{ model: small, prompt: \"Order {{{{ event.id }}}} second: {{{{ first }}}}\" }}\n{stage}\
         sink: {{ topic: {sink}, outputs: [first, second] }}\n"
    );
    let file = dir.join("job.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

/// What the models say to each good event, of many to one in so many: they are a function of the prompt, and are asked again.
pub fn expected(mock: &Mock, sent: &[Sent]) -> BTreeMap<(u64, String), String> {
    let mut expected = BTreeMap::new();
    let good = sent.iter().filter(|one| one.kind == Kind::Good);
    for one in good.step_by(sent.len().div_ceil(MANY).max(1)) {
        let mut said = text(one.n, one.kind);
        for stage in STAGES {
            said = mock.says(&format!("Order {} {stage}: {said}", one.n));
            expected.insert((one.n, stage.to_owned()), said.clone());
        }
    }
    expected
}

fn text(n: u64, kind: Kind) -> String {
    // Of those that fail, the ones whose answer is too large are asked as usual.
    let large = n % 50 == 30;
    match kind {
        Kind::Fatal => format!("{KILLER}: what is the number of order {n}? Tell {}.", SECRETS[1]),
        Kind::Failing if !large => {
            format!("{REFUSED}: what is the number of order {n}? Tell {}.", SECRETS[1])
        }
        _ => format!("What is the number of order {n}? Tell {}.", SECRETS[1]),
    }
}

/// The value of event `n`.
pub fn value(n: u64, kind: Kind) -> Vec<u8> {
    match kind {
        Kind::Undecodable | Kind::Empty => {
            format!("{{ \"id\": {n}, \"text\": \"{}\", ", SECRETS[1]).into_bytes()
        }
        _ => json!({ "id": n.to_string(), "text": text(n, kind) }).to_string().into_bytes(),
    }
}

/// The same with five megabytes more that no stage asks for.
fn huge(n: u64) -> Vec<u8> {
    let text = text(n, Kind::Good);
    json!({ "id": n.to_string(), "text": text, "attached": noise(n, HUGE_BYTES) })
        .to_string()
        .into_bytes()
}

/// A result.
pub fn answer(at: Place, key: &str, value: &[u8]) -> Answer {
    let value: Value = serde_json::from_slice(value).unwrap_or_default();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let outputs = value["outputs"].as_object().into_iter().flatten();
    Answer {
        at,
        key: key.to_owned(),
        origin: (
            value["origin"]["partition"].as_i64().map_or(-1, |n| i32::try_from(n).unwrap()),
            value["origin"]["offset"].as_i64().unwrap_or(-1),
        ),
        event: word(&value["event_id"]),
        completed: value["status"] == "completed",
        outputs: outputs.map(|(name, one)| (name.clone(), word(&one["value"]))).collect(),
        amount: nano(&value["amount"]),
    }
}

/// A record of the journal, wherever it was read from.
pub struct Page<'r> {
    /// `<topic>/<partition>` of the events.
    pub key: &'r str,
    /// Value.
    pub value: &'r [u8],
    /// Offset.
    pub offset: i64,
    /// When it was written.
    pub at: i64,
}

/// What stands in the journal: its answers, and who was given the partitions.
pub fn journaled<'r>(pages: impl Iterator<Item = Page<'r>>) -> (Vec<Journaled>, Vec<Opening>) {
    let (mut answers, mut openings) = (Vec::new(), Vec::new());
    for Page { key, value, offset, at } in pages {
        let value: Value = serde_json::from_slice(value).unwrap_or_default();
        let partition = key.split('/').nth(1).and_then(|partition| partition.parse().ok());
        let Some(partition) = partition else { continue };
        let run = value["run"].as_str().unwrap_or_default().to_owned();
        for entry in value["entries"].as_array().into_iter().flatten() {
            let run = run.clone();
            let stage = entry["what"]["outcome"]["answer"]["stage"].as_str();
            if entry["what"] == "opened" {
                openings.push(Opening { partition, at, offset, run });
            } else if let (Some(stage), Some(input)) = (stage, entry["at"].as_i64()) {
                let (origin, stage) = ((partition, input), stage.to_owned());
                answers.push(Journaled { origin, stage, at, offset, run });
            }
        }
    }
    (answers, openings)
}

/// A cost event.
pub fn charge(value: &[u8]) -> Charge {
    let value: Value = serde_json::from_slice(value).unwrap_or_default();
    let word = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    Charge {
        id: word("id"),
        event: word("event_id"),
        stage: word("stage"),
        amount: nano(&value["amount"]),
        unsettled: value["price_status"] == "unsettled",
        adjustment: value["kind"] == "adjustment",
    }
}

/// Whether a dead letter says why, by class and code, where and which event, and nothing that is secret.
fn is_explained(letter: &Seen) -> bool {
    let told = ["error.class", "error.code", "error.message", "event_id", "origin", "pipeline"];
    let has = |name: &&str| {
        letter.headers.get(&format!("vivremotion.{name}")).is_some_and(|it| !it.is_empty())
    };
    let mut secrets =
        letter.headers.values().flat_map(|text| SECRETS.map(|secret| text.contains(secret)));
    told.iter().all(has) && !secrets.any(|found| found)
}

/// Where a dead letter's event lay, by its header `cluster/topic/partition/offset/timestamp`.
fn origin(seen: &Seen) -> (i32, i64) {
    let origin = seen.headers.get("vivremotion.origin").map_or("", String::as_str);
    let mut parts = origin.split('/').skip(2);
    let partition = parts.next().and_then(|part| part.parse().ok()).unwrap_or(-1);
    (partition, parts.next().and_then(|part| part.parse().ok()).unwrap_or(-1))
}

/// A decimal text as nano-units; nothing is nought.
fn nano(amount: &Value) -> i128 {
    let Some(text) = amount.as_str() else { return 0 };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<9}").parse().unwrap_or_else(|_| panic!("{amount} is no amount"))
}
