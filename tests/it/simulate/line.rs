//! The pipeline of the simulation, whole and real, over a model that does what its event says. Built once per thread and
//! used for every seed: only time and draws begin anew.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use vivremotion::app::known::known;
use vivremotion::app::lines::{Shared, line};
use vivremotion::base::clock::Clock;
use vivremotion::budget::{Limits, Wallet};
use vivremotion::codec::Codecs;
use vivremotion::codec::registry::embedded::Embedded;
use vivremotion::event::cost::Attempt;
use vivremotion::event::ids::AttemptId;
use vivremotion::event::money::Money;
use vivremotion::event::usage::Usage;
use vivremotion::flow::Line;
use vivremotion::flow::identity::Expressions;
use vivremotion::flow::outage::Outages;
use vivremotion::model::journaled::Journaled;
use vivremotion::model::{
    Call, ChatReply, ChatRequest, EmbedRequest, Model, ModelError, ModelErrorKind, Purse,
};
use vivremotion::pipeline::check::check;
use vivremotion::stage::Wiring;
use vivremotion::stage::http::Http;

use super::draws::Draws;
use crate::support::driver::{START, settings};

const PIPELINE: &str = "vivremotion: 1
pipeline: test
deadline: 1h
source: { topic: in, from: earliest }
stages:
  answer:
    retry: { attempts: 3 }
    timeout: 30m
    generate: { model: m, prompt: \"{{ event.kind }} {{ event.n }}\" }
sink: { topic: out }
";

/// Longer than the results' topic takes.
pub const TOO_LARGE: usize = 8_000;

/// The line, and what of it begins anew with each seed.
#[derive(Clone)]
pub struct Bench {
    pub line: Arc<Line>,
    pub clock: Arc<dyn Clock>,
    seeded: Arc<Mutex<Seeded>>,
}

struct Seeded {
    began: Option<Instant>,
    draws: Draws,
    /// Latencies are drawn by seed, event and attempt, so that they do not depend on who asks first.
    seed: u64,
    slowness: u64,
    asked: BTreeMap<u64, u64>,
    ledger: BTreeMap<String, Charge>,
}

/// What the provider knows of a call.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The event's number.
    pub event: u64,
    pub amount: Money,
    pub answered: bool,
    /// The run that asked. It goes on when its instance dies, which is harsher than life.
    pub run: Option<tokio::task::Id>,
    /// Since the seed began.
    pub from: Duration,
    pub to: Duration,
}

impl Bench {
    /// Checks and builds.
    pub fn new() -> Bench {
        let seeded = Arc::new(Mutex::new(Seeded {
            began: None,
            draws: Draws::new(0, 0),
            seed: 0,
            slowness: 1,
            asked: BTreeMap::new(),
            ledger: BTreeMap::new(),
        }));
        let clock: Arc<dyn Clock> = Arc::new(SeededClock(Arc::clone(&seeded)));
        let model: Arc<dyn Model> = Arc::new(Obedient(Arc::clone(&seeded)));
        let settings = settings("");
        let mut known = known(&settings);
        known.models.insert("m".into(), true);
        let (checked, found) = check(&"test.yaml".into(), PathBuf::new(), PIPELINE, &known);
        let plan = checked.unwrap_or_else(|| panic!("{found}")).plan;
        let shared = Shared {
            cluster: "memory".into(),
            codecs: Arc::new(Codecs::new(Arc::new(Embedded::in_memory().unwrap()), [])),
            wiring: Wiring {
                models: [("m".into(), Arc::new(Journaled(model)) as Arc<dyn Model>)].into(),
                collections: Arc::default(),
                http: Http::new(Arc::clone(&clock)),
            },
            clock: Arc::clone(&clock),
            outages: Outages::default(),
            currency: "USD".into(),
            catalogue: None,
            partitions: Default::default(),
        };
        let wallet = Arc::new(Wallet::new(
            Limits { per_event: None, accounts: Vec::new() },
            "USD".into(),
            Arc::clone(&clock),
        ));
        let purses = Box::new(move || Arc::new(wallet.event()) as Arc<dyn Purse>);
        let line = Arc::new(line(&shared, plan, Expressions::default(), purses).unwrap());
        Bench { line, clock, seeded }
    }

    /// Begins anew, within the runtime whose time counts. `slowness` in seconds bounds what a slow call takes.
    pub fn begin(&self, seed: u64, slowness: u64) {
        let mut seeded = self.seeded();
        *seeded = Seeded {
            began: Some(Instant::now()),
            draws: Draws::new(seed, 1),
            seed,
            slowness,
            asked: BTreeMap::new(),
            ledger: BTreeMap::new(),
        };
    }

    /// What the provider charged so far, by attempt.
    pub fn ledger(&self) -> BTreeMap<String, Charge> {
        self.seeded().ledger.clone()
    }

    fn seeded(&self) -> MutexGuard<'_, Seeded> {
        self.seeded.lock().unwrap()
    }
}

struct SeededClock(Arc<Mutex<Seeded>>);

impl Clock for SeededClock {
    fn now(&self) -> i64 {
        let began = self.0.lock().unwrap().began;
        START + began.map_or(0, |began| began.elapsed().as_millis() as i64)
    }

    fn draw(&self) -> u128 {
        let draws = &mut self.0.lock().unwrap().draws;
        u128::from(draws.next()) << 64 | u128::from(draws.next())
    }
}

/// Does what the prompt says: `KIND NUMBER`.
struct Obedient(Arc<Mutex<Seeded>>);

#[async_trait]
impl Model for Obedient {
    async fn chat(&self, request: &ChatRequest, call: &Call) -> Result<ChatReply, ModelError> {
        let began = Instant::now();
        let prompt = &request.messages.last().unwrap().text;
        let (kind, number) = prompt.split_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        let (mut draws, id) = {
            let mut seeded = self.0.lock().unwrap();
            let asked = seeded.asked.entry(number).or_default();
            *asked += 1;
            let stream = number << 16 | *asked;
            let id = u128::from(seeded.draws.next()) << 64 | u128::from(seeded.draws.next());
            (Draws::new(seeded.seed, stream), AttemptId::from_draw(id))
        };
        let longest = match kind {
            "slow" => Duration::from_secs(self.0.lock().unwrap().slowness),
            _ => Duration::from_millis(300),
        };
        tokio::time::sleep(draws.up_to(longest)).await;
        let amount = Money(i128::from(draws.below(1_000_000)));
        let failure = match kind {
            "bad" => Some(ModelErrorKind::InvalidRequest),
            "flaky" if draws.one_in(2) => Some(ModelErrorKind::Overloaded),
            _ => None,
        };
        {
            let mut seeded = self.0.lock().unwrap();
            let start = seeded.began.unwrap();
            let charge = Charge {
                event: number,
                amount,
                answered: failure.is_none(),
                run: tokio::task::try_id(),
                from: began - start,
                to: start.elapsed(),
            };
            seeded.ledger.insert(id.to_string(), charge);
        }
        call.meter.record(Attempt {
            id,
            stage: call.key.stage.clone(),
            item: None,
            number: call.attempt,
            operation: "chat",
            provider: "obedient".into(),
            account: "obedient".into(),
            request_model: "m".into(),
            response_model: None,
            provider_request_id: None,
            batch_id: None,
            usage: Usage::default(),
            amount: Some(amount),
            lines: Vec::new(),
            price_status: "priced",
            catalogue: None,
            outcome: failure.as_ref().map_or("ok", |kind| kind.code()).into(),
            finish_reason: None,
            started_at: 0,
            duration_us: began.elapsed().as_micros() as i64,
            ttfc_us: None,
            decision: None,
        });
        match failure {
            Some(kind) => {
                Err(ModelError { kind, message: "as told".to_owned(), retry_after: None })
            }
            None => Ok(ChatReply {
                text: if kind == "big" { "x".repeat(TOO_LARGE) } else { number.to_string() },
                finish_reason: "stop".into(),
                simulated: false,
            }),
        }
    }

    async fn embed(&self, _: &EmbedRequest, _: &Call) -> Result<Vec<Vec<f32>>, ModelError> {
        unreachable!("the pipeline embeds nothing")
    }
}
