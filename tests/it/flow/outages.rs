//! What is down, what is spent, and whom that concerns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::time::Instant;
use vivremotion::flow::member::Bounds;
use vivremotion::model::{
    Call, ChatReply, ChatRequest, EmbedRequest, Model, ModelError, ModelErrorKind,
};

use super::{PRICED, one};
use crate::support::driver::{Driver, value};

/// A provider whose machine is off, and may be switched on.
#[derive(Default)]
struct Switched {
    on: AtomicBool,
    asked: AtomicUsize,
}

#[async_trait]
impl Model for Switched {
    async fn chat(&self, _: &ChatRequest, _: &Call) -> Result<ChatReply, ModelError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.on.load(Ordering::Relaxed) {
            true => {
                Ok(ChatReply { text: "here".into(), finish_reason: "stop".into(), simulated: true })
            }
            false => Err(ModelError {
                kind: ModelErrorKind::Unreachable,
                message: "nobody listens".into(),
                retry_after: None,
            }),
        }
    }

    async fn embed(&self, _: &EmbedRequest, _: &Call) -> Result<Vec<Vec<f32>>, ModelError> {
        Ok(Vec::new())
    }
}

/// Another pipeline, from `in2` to `out2`.
fn beside(model: &str) -> String {
    one(model).replace("topic: in", "topic: in2").replace("topic: out", "topic: out2")
}

async fn pair(first: &str, second: &str, settings: &str, more: Arc<Switched>) -> Driver {
    let pipelines = [("test", first), ("other", second)];
    let more: Vec<(&str, Arc<dyn Model>)> = vec![("switched", more)];
    Driver::many(settings, &pipelines, 1, Bounds::default(), more).await
}

async fn send(driver: &Driver, topic: &str, events: usize) {
    for n in 0..events {
        let text = format!("a text of some length, number {n}");
        let body = json!({ "text": text }).to_string().into_bytes();
        driver.pipe_to(topic, None, Some(body), Vec::new()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_pauses_the_pipeline_that_needs_the_service_and_no_other() {
    let provider = Arc::new(Switched::default());
    let driver = pair(&one("switched"), &beside("small"), PRICED, Arc::clone(&provider)).await;
    send(&driver, "in", 200).await;
    driver.advance(Duration::from_secs(60)).await;
    let told: Vec<String> = driver.outages.list().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["waiting for model `switched`, which pauses test: nobody listens"]);
    let in_flight = provider.asked.load(Ordering::Relaxed);
    send(&driver, "in", 100).await;
    send(&driver, "in2", 100).await;
    driver.read("out2", 100).await;
    driver.advance(Duration::from_secs(600)).await;
    let asked = provider.asked.load(Ordering::Relaxed) - in_flight;
    assert!(
        (30..200).contains(&asked),
        "one of 200 asks at a time, with pauses, not {asked} times"
    );
    assert!(driver.log.records("out").is_empty() && driver.log.records("in.test.dlq").is_empty());
    provider.on.store(true, Ordering::Relaxed);
    let results = driver.results(300).await;
    assert!(results.iter().all(|result| result["status"] == "completed"));
    assert!(!driver.outages.any());
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_recovers_from_an_outage_is_not_paused_by_it() {
    let provider = Arc::new(Switched::default());
    let recovering =
        beside("switched").replace("answer: {", "answer: { on_down: { value: later },");
    let driver = pair(&one("switched"), &recovering, PRICED, provider).await;
    send(&driver, "in", 1).await;
    driver.advance(Duration::from_secs(10)).await;
    send(&driver, "in2", 50).await;
    let results = driver.values("out2", 50).await;
    assert!(results.iter().all(|result| result["outputs"]["answer"]["value"] == "later"));
    assert!(driver.outages.any());
}

const TIGHT: &str = "budget: { per_day: 0.003 USD, on_breach: wait }\n";

#[tokio::test(start_paused = true)]
async fn a_day_that_is_spent_pauses_its_own_pipeline() {
    let first = format!("{TIGHT}{}", one("small"));
    let driver = pair(&first, &beside("small"), PRICED, Arc::default()).await;
    send(&driver, "in", 40).await;
    driver.advance(Duration::from_secs(600)).await;
    let told = driver.outages.list();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(&*told[0].service, "budget `per_day` of test");
    let before = driver.log.records("out").len();
    assert!(before < 40);
    send(&driver, "in2", 40).await;
    driver.read("out2", 40).await;
    assert_eq!(driver.log.records("out").len(), before);
}

#[tokio::test(start_paused = true)]
async fn the_engines_day_pauses_every_pipeline() {
    let settings = format!("{PRICED}budget: {{ per_day: 0.003 USD }}\n");
    let driver = pair(
        &format!("budget: {{ on_breach: wait }}\n{}", one("small")),
        &format!("budget: {{ on_breach: wait }}\n{}", beside("free")),
        &settings.replace("models: {", "models: { free: { model: simulated/free, price: free },"),
        Arc::default(),
    )
    .await;
    let began = Instant::now();
    send(&driver, "in", 40).await;
    driver.advance(Duration::from_secs(600)).await;
    assert_eq!(&*driver.outages.list()[0].service, "budget `engine.per_day`");
    driver.advance(Duration::from_secs(23 * 3600 + 2_400)).await;
    send(&driver, "in2", 5).await;
    driver.advance(Duration::from_secs(60)).await;
    assert!(driver.log.records("out2").is_empty(), "its calls are free, but it is paused");
    driver.read("out2", 5).await;
    driver.results(40).await;
    assert!(began.elapsed() > Duration::from_secs(12 * 3600));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_day_can_pay_fails_instead_of_waiting_for_ever() {
    let budget = "budget: { per_day: 0.000001 USD, on_breach: wait }\n";
    let driver = Driver::new(PRICED, &format!("{budget}{}", one("small"))).await;
    driver.pipe(None, json!({ "text": "x" })).await;
    let result = driver.results(1).await.remove(0);
    assert_eq!(result["error"]["code"], "over-budget");
    assert_eq!(value(&driver.dead_letters(1).await[0]), json!({ "text": "x" }));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_goes_away_before_the_join_is_waited_for() {
    let mut driver = Driver::new(PRICED, &one("small")).await;
    driver.away.store(3, Ordering::SeqCst);
    driver.crash().await;
    driver.advance(Duration::from_millis(100)).await;
    assert_eq!(driver.outages.list().len(), 1, "whoever asks is told");
    driver.pipe(None, json!({ "text": "x" })).await;
    assert_eq!(driver.results(1).await.len(), 1);
    assert_eq!((driver.away.load(Ordering::SeqCst), driver.outages.list().len()), (0, 0));
    driver.away.store(usize::MAX, Ordering::SeqCst);
    driver.crash().await;
    driver.advance(Duration::from_secs(60)).await;
    driver.stop().await;
}
