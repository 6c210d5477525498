//! Paid once: what a crash leaves in the journal, and what the next start makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::Notify;
use vivremotion::event::money::Money;
use vivremotion::flow::member::Bounds;
use vivremotion::journal::What;
use vivremotion::model::{Call, ChatReply, ChatRequest, EmbedRequest, Model, ModelError};
use vivremotion::stream::{CommitErrorKind, Log, Output, Record, TopicPartition};

use crate::support::driver::{Driver, text_header};

mod kinds;

const PRICED: &str = "
models: { small: simulated/small, slow: simulated/m+slow-5s, flaky: simulated/m+status-503 }
prices: { simulated/small: [ { from: 2026-01-01, input: 1 USD, output: 2 USD } ], simulated/m+slow-5s: [ { from: 2026-01-01, input: 1 USD, output: 2 USD } ] }
";

const TWO_STAGES: &str = "source: { topic: in, from: earliest }\n\
    stages:\n\
    \x20 first: { generate: { model: small, prompt: \"{{ event.text }}\" } }\n\
    \x20 second: { needs: [first], generate: { model: slow, prompt: \"{{ first }}\" } }\n\
    sink: { topic: out, outputs: [first, second] }\n";

fn money(value: &Value) -> Money {
    value.as_str().unwrap().parse().unwrap()
}

fn of_stage<'c>(costs: &'c [Value], stage: &str) -> Vec<&'c Value> {
    costs.iter().filter(|cost| cost["stage"] == stage).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_finished_before_a_crash_is_not_paid_again() {
    let mut driver = Driver::new(PRICED, TWO_STAGES).await;
    driver.pipe(Some("k"), json!({ "text": "hello" })).await;
    // The first stage is done, the second under way.
    driver.advance(Duration::from_secs(2)).await;
    driver.crash().await;
    let result = driver.results(1).await.remove(0);
    assert_eq!(result["status"], "completed");
    driver.settled().await;
    let costs = driver.costs();
    assert_eq!(of_stage(&costs, "first").len(), 1, "{costs:?}");
    // The call that was under way may have been paid: it is told at its ceiling, without a known outcome.
    let second = of_stage(&costs, "second");
    assert_eq!(second.len(), 2, "{costs:?}");
    let unsettled = second.iter().find(|cost| cost["price_status"] == "unsettled").unwrap();
    assert_eq!(unsettled["outcome"], "unknown");
    assert!(money(&unsettled["amount"]) > Money::ZERO);
    let total: Money = costs.iter().map(|cost| money(&cost["amount"])).sum();
    assert_eq!(money(&result["amount"]), total);
    let ids: std::collections::BTreeSet<&str> =
        costs.iter().map(|cost| cost["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), costs.len());
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_is_not_read_back() {
    let mut driver = Driver::new(PRICED, TWO_STAGES).await;
    for n in 0..20 {
        driver.pipe(None, json!({ "text": format!("t{n}") })).await;
    }
    driver.results(20).await;
    driver.settled().await;
    let journaled = driver.log.records("vivremotion.test.journal").len();
    driver.pipe(None, json!({ "text": "last" })).await;
    driver.results(21).await;
    driver.settled().await;
    let low = driver.log.committed("vivremotion.test", "in").await.unwrap()[0].1.journal_low;
    assert!(low >= i64::try_from(journaled).unwrap(), "{low} of {journaled}");
    driver.crash().await;
    driver.advance(Duration::from_secs(30)).await;
    assert_eq!(driver.costs().len(), 42);
}

/// A record of the journal about another input.
fn of_others() -> Output {
    Output {
        topic: "vivremotion.test.journal".into(),
        partition: Some(0),
        key: Some("other/0".into()),
        value: Some("{}".into()),
        headers: Vec::new(),
        timestamp: None,
    }
}

/// Several inputs share a partition of the journal: how much is read back must not follow from what the others write.
#[tokio::test(start_paused = true)]
async fn an_input_that_rests_moves_on_in_the_journal() {
    let driver = Driver::new(PRICED, TWO_STAGES).await;
    let committed =
        async || driver.log.committed("vivremotion.test", "in").await.unwrap().remove(0).1;
    // One that never had an event, and one whose event is done.
    for events in 0..2 {
        driver.advance(Duration::from_secs(120)).await;
        let before = committed().await;
        driver.log.send(vec![of_others(); 100]).await.unwrap();
        driver.advance(Duration::from_secs(120)).await;
        assert_eq!(committed().await, before, "that little is not worth a commit");
        driver.log.send(vec![of_others(); 5_000]).await.unwrap();
        driver.advance(Duration::from_secs(120)).await;
        let after = committed().await;
        assert!(after.journal_low >= before.journal_low + 5_000, "{before:?} {after:?}");
        assert_eq!((after.base, after.high), (events, events));
        driver.advance(Duration::from_secs(600)).await;
        assert_eq!(committed().await, after, "once is enough");
        driver.pipe(None, json!({ "text": "x" })).await;
        driver.settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_input_that_rests_moves_on_later_when_its_commit_fails() {
    let mut driver = Driver::new(PRICED, TWO_STAGES).await;
    let low = async |driver: &Driver| {
        driver.log.committed("vivremotion.test", "in").await.unwrap()[0].1.journal_low
    };
    driver.advance(Duration::from_secs(120)).await;
    for kind in [CommitErrorKind::Transient, CommitErrorKind::Stale] {
        let before = low(&driver).await;
        driver.log.send(vec![of_others(); 5_000]).await.unwrap();
        driver.log.fail_next_commit(kind);
        driver.advance(Duration::from_secs(120)).await;
        assert!(low(&driver).await >= before + 5_000);
    }
    driver.pipe(None, json!({ "text": "x" })).await;
    driver.settled().await;
    // Who is not the group's any more has nothing to try again.
    driver.log.send(vec![of_others(); 5_000]).await.unwrap();
    driver.log.fail_next_commit(CommitErrorKind::Fenced);
    driver.ended().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_order_leaves_nothing_unsettled() {
    let mut driver = Driver::new(PRICED, TWO_STAGES).await;
    driver.pipe(None, json!({ "text": "x" })).await;
    driver.advance(Duration::from_secs(1)).await;
    driver.stop().await;
    let closed = driver.journal().into_iter().next_back().unwrap();
    assert!(matches!(closed.what, What::Closed), "{closed:?}");
    driver.crash().await;
    driver.advance(Duration::from_secs(30)).await;
    assert!(driver.costs().iter().all(|cost| cost["price_status"] == "priced"));
    assert!(!driver.journal().iter().any(|entry| matches!(entry.what, What::Start { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_runs_of_a_lost_partition_asks_nobody_anything_new() {
    let pipeline = TWO_STAGES.replace("model: small", "model: slow");
    let driver = Driver::new(PRICED, &pipeline).await;
    driver.pipe(Some("k"), json!({ "text": "hello" })).await;
    // The first call is under way, and answered only when somebody else has the partition.
    driver.advance(Duration::from_secs(4)).await;
    driver.log.lose(&TopicPartition { topic: "in".into(), partition: 0 });
    driver.results(1).await;
    driver.advance(Duration::from_secs(30)).await;
    let asked = |stage: &str| {
        let entries = driver.journal();
        let of = |what: &What| matches!(what, What::Intent(intent) if &*intent.stage == stage);
        entries.iter().filter(|entry| of(&entry.what)).count()
    };
    assert_eq!((asked("first"), asked("second")), (2, 1));
    // It was charged at its ceiling, and what it cost after all is told later.
    driver.advance(Duration::from_secs(60)).await;
    let costs = driver.costs();
    let unsettled: Vec<_> =
        costs.iter().filter(|cost| cost["price_status"] == "unsettled").collect();
    let adjusted: Vec<_> = costs.iter().filter(|cost| cost["kind"] == "adjustment").collect();
    assert_eq!((unsettled.len(), adjusted.len()), (1, 1), "{costs:?}");
    assert_eq!(adjusted[0]["adjusts"], unsettled[0]["id"]);
    let priced = costs.iter().find(|cost| cost["stage"] == "first" && cost["outcome"] == "ok");
    assert_eq!(
        money(&unsettled[0]["amount"]) + money(&adjusted[0]["amount"]),
        money(&priced.unwrap()["amount"])
    );
}

/// The outcome of the first stage as another process would have written it, which got an answer of its own.
fn of_another_process(record: &Record, attempt: &str) -> Output {
    let mut value: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
    value["run"] = json!("00000000000000ff");
    let entries = value["entries"].as_array_mut().unwrap();
    entries.retain(|entry| !entry["what"]["outcome"]["attempt"].is_null());
    entries[0]["what"]["outcome"]["attempt"]["id"] = json!(attempt);
    Output {
        topic: Arc::clone(&record.at.topic),
        partition: Some(record.at.partition),
        key: record.key.clone(),
        value: Some(value.to_string().into()),
        headers: Vec::new(),
        timestamp: None,
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_process_that_lost_the_partition_tells_late_is_told_as_an_adjustment() {
    told_late(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_look_for_late_calls_that_finds_the_journal_out_of_reach_is_taken_again() {
    told_late(4).await;
}

/// `failing` looks find the journal out of reach.
async fn told_late(failing: usize) {
    const LATE: &str = "0199a5f0-0000-7000-8000-0000000000aa";
    let driver = Driver::new(PRICED, TWO_STAGES).await;
    driver.pipe(Some("k"), json!({ "text": "hello" })).await;
    // The first stage has been answered, and whoever had the partition before tells of an answer of its own.
    driver.advance(Duration::from_secs(2)).await;
    let journal = driver.log.records("vivremotion.test.journal");
    let outcome = journal.iter().find(|record| {
        std::str::from_utf8(record.value.as_deref().unwrap()).unwrap().contains("\"outcome\":{")
    });
    let late = of_another_process(outcome.unwrap(), LATE);
    driver.log.send(vec![late]).await.unwrap();
    driver.results(1).await;
    driver.log.fail_next_reads(failing);
    driver.advance(Duration::from_secs(120)).await;
    let costs = driver.costs();
    let (told, late): (Vec<&Value>, Vec<&Value>) =
        costs.iter().partition(|cost| cost["kind"] == "charge");
    assert_eq!((told.len(), late.len()), (2, 1), "{costs:?}");
    assert_eq!((&late[0]["adjusts"], &late[0]["stage"]), (&json!(LATE), &json!("first")));
    assert_eq!(late[0]["amount"], of_stage(&costs, "first")[0]["amount"]);
    assert_eq!(
        (&late[0]["event_id"], &late[0]["tenant"]),
        (&told[0]["event_id"], &told[0]["tenant"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_comes_back_brings_its_answers_along() {
    let driver = Driver::new(PRICED, TWO_STAGES).await;
    driver.pipe(Some("k"), json!({ "text": "hello" })).await;
    driver.advance(Duration::from_secs(2)).await;
    driver.log.lose(&TopicPartition { topic: "in".into(), partition: 0 });
    driver.results(1).await;
    driver.settled().await;
    assert_eq!(of_stage(&driver.costs(), "first").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_offset_that_was_set_back_costs_nothing_again() {
    let mut driver = Driver::new(PRICED, TWO_STAGES).await;
    driver.pipe(Some("k"), json!({ "text": "hello" })).await;
    driver.results(1).await;
    driver.settled().await;
    let at = TopicPartition { topic: "in".into(), partition: 0 };
    driver.stop().await;
    driver.log.set_committed("vivremotion.test", &at, 0, "");
    driver.crash().await;
    let results = driver.results(2).await;
    assert_eq!(results[0]["id"], results[1]["id"]);
    assert_eq!(results[0]["outputs"], results[1]["outputs"]);
    driver.settled().await;
    assert_eq!(driver.costs().len(), 2, "{:?}", driver.costs());
}

#[tokio::test(start_paused = true)]
async fn a_replay_finds_the_finished_stages_of_its_first_run() {
    let pipeline = "source: { topic: in, from: earliest }\n\
        stages:\n\
        \x20 first: { generate: { model: small, prompt: \"{{ event.text }}\" } }\n\
        \x20 second: { needs: [first], retry: { attempts: 1 }, generate: { model: flaky, prompt: x } }\n\
        sink: { topic: out, outputs: [second] }\n";
    let driver = Driver::new(PRICED, pipeline).await;
    driver.advance(Duration::from_secs(1)).await;
    // What other processes write there, this one does not see.
    driver.log.send(vec![of_others(); 5_000]).await.unwrap();
    driver.pipe(Some("k"), json!({ "text": "hello" })).await;
    let letter = driver.dead_letters(1).await.remove(0);
    let header = |name| text_header(&letter, name);
    let headers = ["event_id", "origin", "group", "journal"].map(|n| format!("vivremotion.{n}"));
    let values: Vec<String> = headers.iter().map(|name| header(name)).collect();
    let mut sent: Vec<(&str, &str)> =
        headers.iter().zip(&values).map(|(n, value)| (n.as_str(), value.as_str())).collect();
    sent.push(("vivremotion.replay_of", "some-result"));
    driver.pipe_raw(Some("k"), letter.value.clone().map(Vec::from), sent).await;
    let results = driver.results(2).await;
    assert_eq!(results[0]["event_id"], results[1]["event_id"]);
    driver.settled().await;
    let costs = driver.costs();
    assert_eq!(of_stage(&costs, "first").len(), 1, "{costs:?}");
    assert_eq!(of_stage(&costs, "second").len(), 2, "{costs:?}");
}

/// Counts who asks, and never answers.
struct Killer {
    asked: Notify,
    times: AtomicUsize,
}

#[async_trait]
impl Model for Killer {
    async fn chat(&self, _: &ChatRequest, _: &Call) -> Result<ChatReply, ModelError> {
        self.times.fetch_add(1, Ordering::SeqCst);
        self.asked.notify_one();
        std::future::pending().await
    }
    async fn embed(&self, _: &EmbedRequest, _: &Call) -> Result<Vec<Vec<f32>>, ModelError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_kills_the_process_is_found_and_the_innocent_complete() {
    let killer = Arc::new(Killer { asked: Notify::new(), times: AtomicUsize::new(0) });
    let pipeline = "source: { topic: in, from: earliest }\n\
        stages:\n\
        \x20 hit: { when: event.kills, timeout: 4m, generate: { model: killer, prompt: x } }\n\
        \x20 other: { when: not event.kills, generate: { model: slow, prompt: \"{{ event.n }}\" } }\n\
        sink: { topic: out, outputs: [hit, other] }\n";
    let more: Vec<(&str, Arc<dyn Model>)> = vec![("killer", killer.clone())];
    let mut driver = Driver::with(PRICED, pipeline, 1, Bounds::default(), more).await;
    for n in 0..30 {
        driver.pipe(None, json!({ "n": n, "kills": n == 17 })).await;
    }
    let mut deaths = 0;
    loop {
        tokio::select! {
            () = killer.asked.notified() => {
                deaths += 1;
                assert!(deaths < 12, "the event is never found");
                driver.advance(Duration::from_millis(50)).await;
                driver.crash().await;
            }
            letters = driver.dead_letters(1) => {
                assert_eq!(letters.len(), 1);
                assert_eq!(text_header(&letters[0], "vivremotion.error.code"), "crash-loop");
                assert!(text_header(&letters[0], "vivremotion.origin").contains("in/0/17/"));
                break;
            }
        }
    }
    let results = driver.results(30).await;
    let failed: Vec<&Value> =
        results.iter().filter(|result| result["status"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["error"]["code"], "crash-loop");
    driver.settled().await;
    assert_eq!(driver.dead_letters(1).await.len(), 1);
    assert_eq!(killer.times.load(Ordering::SeqCst), deaths);
}

#[tokio::test(start_paused = true)]
async fn what_a_condemned_event_has_spent_is_billed() {
    let mut driver = Driver::new(PRICED, TWO_STAGES).await;
    driver.pipe(None, json!({ "text": "x" })).await;
    let mut runs = 0;
    while driver.log.records("in.test.dlq").is_empty() {
        runs += 1;
        assert!(runs < 12, "the event is never found");
        driver.advance(Duration::from_secs(2)).await;
        driver.crash().await;
        driver.advance(Duration::from_secs(1)).await;
    }
    let result = driver.results(1).await.remove(0);
    assert_eq!(result["error"]["code"], "crash-loop");
    driver.settled().await;
    let costs = driver.costs();
    assert_eq!(of_stage(&costs, "first").len(), 1, "{costs:?}");
    assert!(of_stage(&costs, "second").len() >= 5, "{costs:?}");
    let total: Money = costs.iter().map(|cost| money(&cost["amount"])).sum();
    assert_eq!(money(&result["amount"]), total);
}
