//! What is counted. Each case does the same thing so many times.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use vivremotion::app::known::known;
use vivremotion::app::lines::{Shared, line};
use vivremotion::app::models;
use vivremotion::base::clock::{Clock, HeldClock};
use vivremotion::budget::{Limits, Wallet};
use vivremotion::codec::Codecs;
use vivremotion::codec::registry::embedded::Embedded;
use vivremotion::event::ids::{AttemptId, EventId};
use vivremotion::flow::consume::Consumed;
use vivremotion::flow::identity::Expressions;
use vivremotion::flow::lanes::{Arrival, Lane, Lanes};
use vivremotion::flow::outage::Outages;
use vivremotion::flow::tracker::{Receive, Tracker};
use vivremotion::flow::{Line, carry};
use vivremotion::journal::batch::{Batch, Told};
use vivremotion::journal::{About, Intent, What, record};
use vivremotion::model::Purse;
use vivremotion::pipeline::check::check;
use vivremotion::stage::Wiring;
use vivremotion::stage::http::Http;
use vivremotion::stream::{Epoch, Progress, Record, TopicPartition};

use crate::driver::{Driver, START, settings};

/// A case.
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What one round is.
    pub title: &'static str,
    /// Rounds: enough that the noise of the start is small beside them.
    pub rounds: usize,
    /// Does it that many times.
    pub run: fn(usize),
}

/// All cases.
pub const CASES: &[Case] = &[
    Case {
        name: "corridor",
        title: "a record of 1 KB to its result and cost event, one model call",
        rounds: 1_000,
        run: corridor,
    },
    Case {
        name: "member",
        title: "the same with intake, journal and commit, on the log of the tests",
        rounds: 500,
        run: member,
    },
    Case {
        name: "tracker",
        title: "an offset received, completed and settled, in batches of 100",
        rounds: 20_000,
        run: tracker,
    },
    Case {
        name: "progress",
        title: "progress with 50 gaps to its text and back",
        rounds: 1_000,
        run: progress,
    },
    Case {
        name: "lanes",
        title: "an event that takes its lane and leaves it, of 100 keys",
        rounds: 20_000,
        run: lanes,
    },
    Case {
        name: "journal",
        title: "an intent to its record and back",
        rounds: 2_000,
        run: journal,
    },
];

const SETTINGS: &str = "
models: { small: simulated/small }
prices: { simulated/small: [ { from: 2026-01-01, input: 1 USD, output: 2 USD } ] }
";

const PIPELINE: &str = "source: { topic: in, from: earliest }
stages:
  answer:
    generate: { model: small, prompt: \"{{ event.text }}\" }
sink: { topic: out }
";

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(work)
}

fn text(n: usize) -> String {
    format!("What is the number of order {n}? {}", "lorem ipsum dolor ".repeat(54))
}

fn partition() -> TopicPartition {
    TopicPartition { topic: "in".into(), partition: 0 }
}

fn built() -> Line {
    let settings = settings(SETTINGS);
    let clock: Arc<dyn Clock> = Arc::new(HeldClock::new(START, 7));
    let text = format!("vivremotion: 1\npipeline: test\n{PIPELINE}");
    let (checked, found) = check(&"test.yaml".into(), PathBuf::new(), &text, &known(&settings));
    let plan = checked.unwrap_or_else(|| panic!("{found}")).plan;
    let asked = ["small".into()].into();
    let shared = Shared {
        cluster: "test".into(),
        codecs: Arc::new(Codecs::new(Arc::new(Embedded::in_memory().unwrap()), [])),
        wiring: Wiring {
            models: models::build(&settings, &asked, &clock).unwrap(),
            collections: Arc::default(),
            http: Http::new(Arc::clone(&clock)),
        },
        clock: Arc::clone(&clock),
        outages: Outages::default(),
        currency: "USD".into(),
        catalogue: None,
        partitions: Default::default(),
    };
    let limits = Limits { per_event: None, accounts: Vec::new() };
    let wallet = Arc::new(Wallet::new(limits, "USD".into(), clock));
    let purses = Box::new(move || Arc::new(wallet.event()) as Arc<dyn Purse>);
    line(&shared, plan, Expressions::default(), purses).unwrap()
}

fn corridor(rounds: usize) {
    block_on(async {
        let line = built();
        for n in 0..rounds {
            let value = json!({ "id": n.to_string(), "text": text(n) });
            let record = Record {
                at: partition(),
                offset: n as i64,
                timestamp: START,
                key: Some(n.to_string().into()),
                value: Some(value.to_string().into()),
                headers: Vec::new(),
            };
            let emitted = carry(&line, Arc::new(Consumed::new(record, Epoch(1), START))).await;
            assert_eq!(emitted.outputs.len(), 2, "{:?}", emitted.refusal);
        }
    });
}

fn member(rounds: usize) {
    block_on(async {
        let driver = Driver::new(SETTINGS, PIPELINE).await;
        for n in 0..rounds {
            driver
                .pipe(Some(&n.to_string()), json!({ "id": n.to_string(), "text": text(n) }))
                .await;
        }
        driver.settled().await;
    });
}

fn tracker(rounds: usize) {
    let mut tracker = Tracker::new(Epoch(1), Progress::default());
    let offsets: Vec<i64> = (0..rounds as i64).collect();
    for batch in offsets.chunks(100) {
        for offset in batch {
            assert_eq!(tracker.receive(*offset), Receive::Run);
        }
        // Calls end in any order: here the other way round.
        for offset in batch.iter().rev() {
            assert!(tracker.complete(Epoch(1), *offset));
        }
        let progress = tracker.progress(batch, 1, 0);
        assert!(tracker.settle(Epoch(1), batch, progress));
    }
}

fn progress(rounds: usize) {
    let incomplete: Vec<i64> = (0..50).map(|n| n * 37).collect();
    let progress = Progress { high: 2_000, incomplete, ..Progress::default() };
    for _ in 0..rounds {
        let text = black_box(&progress).encode();
        assert!(Progress::decode(0, &text).is_ok());
    }
}

fn lanes(rounds: usize) {
    let mut lanes = Lanes::new(64, 10_000);
    let of = |n: usize| {
        let key = Some((n % 100).to_string().into());
        Lane { at: partition(), epoch: Epoch(1), key }
    };
    for n in 0..rounds {
        let lane = of(n);
        assert_eq!(lanes.arrive(&lane, n), Arrival::Start(n));
        assert_eq!(lanes.finish(&lane), None);
    }
}

fn journal(rounds: usize) {
    let input = TopicPartition { topic: "in".into(), partition: 0 };
    for n in 0..rounds {
        let about = About::event(n as i64, EventId::new("c", "in", 0, n as i64, START));
        let intent = What::Intent(Intent {
            attempt: AttemptId::from_draw(n as u128),
            stage: "answer".into(),
            item: None,
            operation: "chat",
            provider: "simulated".into(),
            account: "simulated".into(),
            model: "small".into(),
            ceiling: None,
            catalogue: None,
            started_at: START,
        });
        let mut batch = Batch::new(7);
        batch.push(Told::new(about, intent));
        for output in batch.records((&"journal".into(), 0), &input) {
            let at = TopicPartition { topic: "journal".into(), partition: 0 };
            let (key, value, headers) = (output.key, output.value, output.headers);
            let read = Record { at, offset: 0, timestamp: START, key, value, headers };
            assert!(record::read(&read).is_ok());
        }
    }
}
