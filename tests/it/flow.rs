//! Behaviours of the corridor, one sentence per test.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::Instant;
use vivremotion::base::clock::parse_time;
use vivremotion::flow::member::Bounds;
use vivremotion::model::{Call, ChatReply, ChatRequest, EmbedRequest, Model, ModelError};
use vivremotion::stream::{
    CommitErrorKind, From, Guarantee, Log, Membership, OnCorruptProgress, Topic, TopicPartition,
};

use crate::support::driver::{Driver, text_header, value};

mod groups;
mod inputs;
mod outages;

const PRICED: &str = "
models: { small: simulated/small, slow: simulated/m+slow-5s, bad: simulated/m+status-400, flaky: simulated/m+status-503+rate-0.5, down: simulated/m+status-401 }
prices: { simulated/small: [ { from: 2026-01-01, input: 1 USD, output: 2 USD } ], simulated/m+slow-5s: [ { from: 2026-01-01, input: 1 USD, output: 2 USD } ] }
";

/// One stage over one topic.
fn one(model: &str) -> String {
    format!(
        "source: {{ topic: in, from: earliest }}\n\
         stages: {{ answer: {{ generate: {{ model: {model}, prompt: \"{{{{ event.text }}}}\" }} }} }}\n\
         sink: {{ topic: out }}\n"
    )
}

/// Of somebody else than the driver.
fn membership(group: &str, instance: &str, topic: &str) -> Membership {
    Membership {
        group: group.into(),
        instance: instance.into(),
        topics: vec![(topic.into(), From::Earliest)],
        guarantee: Guarantee::ExactlyOnce,
        on_corrupt_progress: OnCorruptProgress::Fail,
    }
}

fn status<'v>(result: &'v Value, stage: &str) -> &'v str {
    let stages = result["stages"].as_array().unwrap();
    stages.iter().find(|run| run["name"] == stage).unwrap()["status"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_event_becomes_a_result_and_its_cost() {
    let driver = Driver::new(PRICED, &one("small")).await;
    driver.pipe(Some("k"), json!({ "text": "hello", "id": "r-1" })).await;
    let result = driver.results(1).await.remove(0);
    assert_eq!(result["status"], "completed");
    assert_eq!(result["request_id"], "r-1");
    assert_eq!(status(&result, "answer"), "done");
    driver.settled().await;
    let costs = driver.costs();
    assert_eq!(costs.len(), 1);
    assert_eq!(costs[0]["amount"], result["amount"]);
    assert_ne!(costs[0]["amount"], "0");
    assert_eq!(costs[0]["event_id"], result["event_id"]);
}

#[tokio::test(start_paused = true)]
async fn events_of_a_key_run_one_after_another_and_others_pass() {
    let pipeline = "source: { topic: in, from: earliest }\n\
        stages:\n\
        \x20 slow: { when: event.slow, generate: { model: slow, prompt: x } }\n\
        sink: { topic: out }\n";
    let driver = Driver::new(PRICED, pipeline).await;
    driver.pipe(Some("a"), json!({ "slow": true, "n": 1 })).await;
    driver.pipe(Some("a"), json!({ "slow": false, "n": 2 })).await;
    driver.pipe(Some("b"), json!({ "slow": false, "n": 3 })).await;
    driver.pipe(None, json!({ "slow": false, "n": 4 })).await;
    driver.results(4).await;
    let order: Vec<i64> =
        driver.results(4).await.iter().map(|r| r["origin"]["offset"].as_i64().unwrap()).collect();
    let place = |offset: i64| order.iter().position(|o| *o == offset).unwrap();
    assert!(place(0) < place(1), "{order:?}");
    assert!(place(2) < place(0) && place(3) < place(0), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stage_starts_when_its_own_inputs_are_ready() {
    let pipeline = "source: { topic: in, from: earliest }\n\
        stages:\n\
        \x20 slow: { generate: { model: slow, prompt: x } }\n\
        \x20 quick: { generate: { model: small, prompt: x } }\n\
        \x20 after: { needs: [quick], generate: { model: small, prompt: \"{{ quick }}\" } }\n\
        sink: { topic: out, outputs: [slow, after] }\n";
    let driver = Driver::new(PRICED, pipeline).await;
    driver.pipe(None, json!({})).await;
    let result = driver.results(1).await.remove(0);
    let run = |name: &str| {
        let stages = result["stages"].as_array().unwrap();
        let found = stages.iter().find(|run| run["name"] == name);
        found.unwrap_or_else(|| panic!("{result}")).clone()
    };
    let (slow, after) = (run("slow"), run("after"));
    assert!(slow["duration_us"].as_i64().unwrap() >= 5_000_000);
    let start = |run: &Value| parse_time(run["started_at"].as_str().unwrap()).unwrap();
    assert!(start(&after) - start(&slow) < 100, "{after} {slow}");
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_fails_fails_its_event_and_leaves_a_dead_letter() {
    let driver = Driver::new(PRICED, &one("bad")).await;
    let body = json!({ "text": "hello" });
    driver.pipe_raw(Some("k"), Some(body.to_string().into_bytes()), vec![("h", "v")]).await;
    let result = driver.results(1).await.remove(0);
    assert_eq!(result["status"], "failed");
    assert_eq!(result["error"]["code"], "invalid-request");
    assert_eq!(result["error"]["stage"], "answer");
    let letter = driver.dead_letters(1).await.remove(0);
    assert_eq!(value(&letter), body);
    assert_eq!(letter.key.as_deref(), Some(&b"k"[..]));
    assert_eq!(text_header(&letter, "h"), "v");
    assert_eq!(text_header(&letter, "vivremotion.error.code"), "invalid-request");
    assert_eq!(text_header(&letter, "__connect.errors.topic"), "in");
    assert_eq!(driver.costs().len(), 1, "the attempt was made, so it is told");
}

#[tokio::test(start_paused = true)]
async fn what_fails_in_passing_is_tried_again() {
    let pipeline =
        one("flaky").replace("generate:", "retry: { attempts: 20 }, timeout: 10m, generate:");
    let driver = Driver::new(PRICED, &format!("deadline: 1h\n{pipeline}")).await;
    for n in 0..20 {
        driver.pipe(None, json!({ "text": format!("t{n}") })).await;
    }
    let results = driver.results(20).await;
    assert!(results.iter().all(|result| result["status"] == "completed"), "{results:?}");
    driver.settled().await;
    assert!(driver.costs().len() > 25, "half of the calls fail, each is an attempt");
}

#[tokio::test(start_paused = true)]
async fn a_recovered_stage_degrades_its_result() {
    let pipeline = one("bad").replace("generate:", "on_error: { value: later }, generate:");
    let driver = Driver::new(PRICED, &pipeline).await;
    driver.pipe(None, json!({ "text": "x" })).await;
    let result = driver.results(1).await.remove(0);
    assert_eq!((&result["status"], &result["degraded"]), (&json!("completed"), &json!(true)));
    assert_eq!(result["outputs"]["answer"]["value"], "later");
    assert_eq!(status(&result, "answer"), "recovered");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_pauses_intake_and_dead_letters_nothing() {
    let driver = Driver::new(PRICED, &one("down")).await;
    driver.pipe(None, json!({ "text": "x" })).await;
    driver.advance(Duration::from_secs(900)).await;
    assert!(driver.outages.any());
    assert!(driver.log.records("out").is_empty() && driver.log.records("in.test.dlq").is_empty());
}

struct Panicking;

#[async_trait]
impl Model for Panicking {
    async fn chat(&self, _: &ChatRequest, _: &Call) -> Result<ChatReply, ModelError> {
        panic!("planted")
    }
    async fn embed(&self, _: &EmbedRequest, _: &Call) -> Result<Vec<Vec<f32>>, ModelError> {
        panic!("planted")
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_event_not_the_process() {
    let more: Vec<(&str, Arc<dyn Model>)> = vec![("panicking", Arc::new(Panicking))];
    let pipeline = one("panicking").replace("answer: {", "answer: { when: event.panic,");
    let driver = Driver::with(PRICED, &pipeline, 1, Bounds::default(), more).await;
    driver.pipe(None, json!({ "text": "x", "panic": true })).await;
    driver.pipe(None, json!({ "text": "x", "panic": false })).await;
    let results = driver.results(2).await;
    let mut statuses: Vec<&str> = results.iter().map(|r| r["status"].as_str().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["completed", "failed"]);
}

#[tokio::test(start_paused = true)]
async fn poison_goes_to_the_dead_letters_and_nothing_else_stops() {
    let driver = Driver::new(PRICED, &one("small")).await;
    let deep = "[".repeat(10_000);
    let poison: [Vec<u8>; 4] =
        [b"{".to_vec(), vec![0xff, 0xfe], deep.into_bytes(), vec![b' '; 1_000_000]];
    for bytes in &poison {
        driver.pipe_raw(Some("k"), Some(bytes.clone()), Vec::new()).await;
    }
    driver.pipe(Some("k"), json!({ "text": "good" })).await;
    let letters = driver.dead_letters(4).await;
    let bytes: Vec<_> = letters.iter().map(|letter| letter.value.clone().unwrap()).collect();
    assert_eq!(bytes, poison);
    assert_eq!(driver.results(1).await.len(), 1);
    assert_eq!(text_header(&letters[0], "vivremotion.error.class"), "decode");
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_is_skipped_delivered_or_dead_lettered_as_the_source_says() {
    for (mode, results, letters) in [("skip", 0, 0), ("deliver", 1, 0), ("dead_letter", 0, 1)] {
        let pipeline = format!(
            "source: {{ topic: in, from: earliest, tombstones: {mode} }}\n\
             stages: {{ gone: {{ map: \"{{{{ record.tombstone }}}}\" }} }}\nsink: {{ topic: out }}\n"
        );
        let driver = Driver::new(PRICED, &pipeline).await;
        driver.pipe_raw(Some("k"), None, Vec::new()).await;
        driver.settled().await;
        assert_eq!(driver.log.records("out").len(), results, "{mode}");
        assert_eq!(driver.log.records("in.test.dlq").len(), letters, "{mode}");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_headers_and_a_missing_key_do_no_harm() {
    let driver = Driver::new(PRICED, &one("small")).await;
    let body = json!({ "text": "x" }).to_string().into_bytes();
    driver.pipe_raw(None, Some(body), vec![("h", "v"); 10_000]).await;
    assert_eq!(driver.results(1).await[0]["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_the_filter_is_only_counted() {
    let pipeline = one("small").replace("from: earliest", "from: earliest, filter: event.keep");
    let driver = Driver::new(PRICED, &pipeline).await;
    for keep in [false, true, false] {
        driver.pipe(None, json!({ "text": "x", "keep": keep })).await;
    }
    driver.settled().await;
    assert_eq!(driver.log.records("out").len(), 1);
    assert!(driver.log.records("in.test.dlq").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_crash_loses_nothing_and_doubles_nothing() {
    let mut driver = Driver::with(PRICED, &one("slow"), 3, Bounds::default(), Vec::new()).await;
    for n in 0..60 {
        driver.pipe(Some(&format!("k{n}")), json!({ "text": format!("t{n}") })).await;
    }
    for _ in 0..3 {
        driver.advance(Duration::from_millis(5_050)).await;
        driver.crash().await;
    }
    driver.settled().await;
    let results = driver.results(60).await;
    let ids: std::collections::BTreeSet<&str> =
        results.iter().map(|result| result["event_id"].as_str().unwrap()).collect();
    assert_eq!((results.len(), ids.len()), (60, 60));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_partition_is_drained_before_it_is_given_up() {
    let driver = Driver::new(PRICED, &one("slow")).await;
    driver.pipe(Some("k"), json!({ "text": "x" })).await;
    driver.advance(Duration::from_secs(1)).await;
    driver.log.revoke(&TopicPartition { topic: "in".into(), partition: 0 });
    driver.pipe(Some("k"), json!({ "text": "y" })).await;
    driver.settled().await;
    assert_eq!(driver.results(2).await.len(), 2);
    assert_eq!(driver.costs().len(), 2, "the call that ran was not made again");
}

#[tokio::test(start_paused = true)]
async fn what_left_while_its_batch_was_made_is_not_committed_by_it() {
    let driver = Driver::with(PRICED, &one("small"), 2, Bounds::default(), Vec::new()).await;
    for n in 0..8 {
        driver.pipe(Some(&format!("k{n}")), json!({ "text": "x" })).await;
    }
    // They have ended, and wait for the next commit.
    driver.advance(Duration::from_millis(50)).await;
    assert!(driver.log.records("out").is_empty());
    let other = membership("vivremotion.test", "other", "in");
    let other = driver.log.join(other).await.unwrap();
    // The one that is to be given up has all of them committed at once, while it is not yet known that the other is lost.
    let at = |partition| TopicPartition { topic: "in".into(), partition };
    driver.log.revoke(&at(0));
    driver.log.lose(&at(1));
    driver.advance(Duration::from_secs(1)).await;
    assert_eq!(driver.log.defects(), [""; 0]);
    drop(other);
    driver.settled().await;
    assert_eq!(driver.results(8).await.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_is_written_later() {
    let driver = Driver::new(PRICED, &one("small")).await;
    driver.log.fail_next_commit(CommitErrorKind::Transient);
    driver.log.fail_next_commit(CommitErrorKind::Stale);
    driver.pipe(None, json!({ "text": "x" })).await;
    driver.settled().await;
    assert_eq!(driver.log.records("out").len(), 1);
    assert_eq!(driver.costs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_event_starts_while_too_much_waits_to_be_committed() {
    let bounds = Bounds { permits: 1, outbox: 5_000, ..Bounds::default() };
    let driver = Driver::with(PRICED, &one("small"), 1, bounds, Vec::new()).await;
    for _ in 0..20 {
        driver.log.fail_next_commit(CommitErrorKind::Transient);
    }
    for n in 0..100 {
        driver.pipe(None, json!({ "text": format!("t{n}") })).await;
    }
    driver.advance(Duration::from_secs(1)).await;
    assert_eq!(driver.log.records("out").len(), 0, "nothing is committed yet");
    let calls = driver.journal().len();
    assert!((1..20).contains(&calls), "{calls} entries of calls, of events of some kilobytes each");
    driver.settled().await;
    assert_eq!(driver.log.records("out").len(), 100);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_fails_its_event_and_no_other() {
    let pipeline = "source: { topic: in, from: earliest }\n\
        stages: { answer: { map: \"{{ event.text }}\" } }\n\
        sink: { topic: out }\n";
    let driver = Driver::new(PRICED, pipeline).await;
    let config = vec![("max.message.bytes".to_owned(), "6000".to_owned())];
    driver.log.reconfigure(&Topic { name: "out".into(), partitions: 1, config });
    driver.pipe(Some("k"), json!({ "text": "x".repeat(10_000) })).await;
    driver.pipe(Some("k"), json!({ "text": "short" })).await;
    driver.settled().await;
    let results = driver.results(2).await;
    assert_eq!(
        (&results[0]["status"], &results[1]["status"]),
        (&json!("failed"), &json!("completed"))
    );
    assert_eq!(results[0]["error"]["code"], "unwritable-output");
    assert_eq!(driver.dead_letters(1).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_too_large_for_its_topic_has_less_and_stops_nobody() {
    let pipeline = "source: { topic: in, from: earliest }\n\
        stages: { answer: { map: \"{{ event.text }}\" } }\n\
        sink: { topic: out }\n";
    let driver = Driver::new(PRICED, pipeline).await;
    for topic in ["out", "in.test.dlq"] {
        let config = vec![("max.message.bytes".to_owned(), "6000".to_owned())];
        driver.log.reconfigure(&Topic { name: topic.into(), partitions: 1, config });
    }
    let large = "x".repeat(10_000);
    // Undecodable; undecodable with more headers than fit, too; and one that is answered with more than the sink takes.
    driver.pipe_raw(Some("k"), Some(format!("{{ {large}").into_bytes()), vec![("a", "b")]).await;
    driver
        .pipe_raw(Some(&large), Some(b"{ ".to_vec()), vec![("big", &large), ("ce_id", &large)])
        .await;
    driver.pipe(Some("k"), json!({ "text": large })).await;
    driver.pipe(Some("k"), json!({ "text": "short" })).await;
    driver.settled().await;
    let letters = driver.dead_letters(3).await;
    let told = letters.iter().map(|letter| {
        assert_eq!(letter.value, None);
        (
            text_header(letter, "vivremotion.error.omitted"),
            text_header(letter, "vivremotion.error.code"),
        )
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told[0], ("value".to_owned(), "invalid-json".to_owned()));
    assert_eq!(told[1], ("value, headers, key".to_owned(), "invalid-json".to_owned()));
    assert_eq!(told[2], ("value".to_owned(), "unwritable-output".to_owned()));
    assert_eq!(text_header(&letters[0], "a"), "b");
    assert_eq!((letters[0].key.as_deref(), letters[1].key.as_deref()), (Some(&b"k"[..]), None));
    let results = driver.results(2).await;
    assert_eq!(
        (&results[0]["status"], &results[1]["status"]),
        (&json!("failed"), &json!("completed"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_fenced_leaves_with_the_reason() {
    let mut driver = Driver::new(PRICED, &one("small")).await;
    driver.log.fail_next_commit(CommitErrorKind::Fenced);
    driver.pipe(None, json!({ "text": "x" })).await;
    assert!(driver.ended().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_what_runs_and_commits_it() {
    let mut driver = Driver::new(PRICED, &one("slow")).await;
    driver.pipe(None, json!({ "text": "x" })).await;
    driver.advance(Duration::from_secs(1)).await;
    driver.stop().await;
    assert_eq!(driver.log.records("out").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_may_not_cost_more_than_its_budget() {
    let pipeline = format!("budget: {{ per_event: 0.000001 USD }}\n{}", one("small"));
    let driver = Driver::new(PRICED, &pipeline).await;
    driver.pipe(None, json!({ "text": "x" })).await;
    let result = driver.results(1).await.remove(0);
    assert_eq!(
        (&result["status"], &result["error"]["code"]),
        (&json!("failed"), &json!("over-budget"))
    );
    assert!(driver.costs().is_empty(), "no call was made");
}

#[tokio::test(start_paused = true)]
async fn a_day_that_is_spent_is_waited_for() {
    let budget = "budget: { per_day: 0.003 USD, on_breach: wait }\n";
    let driver = Driver::new(PRICED, &format!("{budget}{}", one("small"))).await;
    let began = Instant::now();
    for n in 0..40 {
        driver.pipe(None, json!({ "text": format!("a text of some length, number {n}") })).await;
    }
    driver.results(40).await;
    assert!(began.elapsed() > Duration::from_secs(12 * 3600), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn items_run_side_by_side_and_keep_their_order() {
    let pipeline = "source: { topic: in, from: earliest }\n\
        stages:\n\
        \x20 many:\n\
        \x20   each: { of: event.list, max_in_flight: 4 }\n\
        \x20   generate: { model: slow, prompt: \"{{ item }}\" }\n\
        sink: { topic: out }\n";
    let driver = Driver::new(PRICED, pipeline).await;
    driver.pipe(None, json!({ "list": ["aa", "bb", "cc", "dd", "ee"] })).await;
    let result = driver.results(1).await.remove(0);
    let list: Vec<String> =
        serde_json::from_str(result["outputs"]["many"]["value"].as_str().unwrap()).unwrap();
    let order: Vec<bool> =
        list.iter().zip(["aa", "bb", "cc", "dd", "ee"]).map(|(out, of)| out.contains(of)).collect();
    assert_eq!(order, [true; 5], "{list:?}");
    let took = result["duration_us"].as_i64().unwrap();
    assert!((10_000_000..11_000_000).contains(&took), "two rounds of five seconds, not {took} µs");
}

#[tokio::test(start_paused = true)]
async fn a_published_record_is_dropped_when_its_event_fails() {
    let pipeline = "source: { topic: in, from: earliest }\n\
        stages:\n\
        \x20 more: { publish: { topic: side, value: { of: \"{{ event.text }}\" } } }\n\
        \x20 answer: { needs: [more], when: event.fail, generate: { model: bad, prompt: x } }\n\
        sink: { topic: out, outputs: [answer] }\n";
    let driver = Driver::new(PRICED, pipeline).await;
    driver.pipe(None, json!({ "text": "one", "fail": true })).await;
    driver.pipe(None, json!({ "text": "two", "fail": false })).await;
    driver.settled().await;
    let side = driver.values("side", 1).await;
    assert_eq!(side, [json!({ "of": "two" })]);
}
