//! `verify` on a local log: clean after an honest run, and each check finds the history that was tampered with.

use std::path::PathBuf;

use serde_json::{Value, json};
use vivremotion::app::verify::{Desk, Order, verify};
use vivremotion::audit::{Check, MOST_EVENTS, Report};
use vivremotion::stream::Record;

use crate::support::driver::value;
use crate::support::local::LocalWorld;

const SETTINGS: &str = "
models: { small: simulated/small, bad: simulated/m+status-400 }
prices: { simulated/small: [ { from: 2026-01-01, input: 1 USD, output: 2 USD } ] }
";

/// Takes tickets that are not tests, answers them, tells of the loud ones, and fails at the bad ones.
const PIPELINE: &str = "
source: { topic: in, from: earliest, filter: not event.test, tombstones: dead_letter }
stages:
  answer: { generate: { model: small, prompt: \"{{ event.text }}\" } }
  broken: { when: event.bad, generate: { model: bad, prompt: x } }
  tell: { when: event.loud, publish: { topic: alarms, value: { text: \"{{ event.text }}\" } } }
sink: { topic: out, outputs: [answer, broken] }
";

fn ticket(n: u64) -> Value {
    json!({ "text": format!("t{n}"), "test": n % 7 == 6, "bad": n % 5 == 3, "loud": n % 4 == 1 })
}

/// Twenty events, one that is no JSON, a tombstone; all done.
async fn done() -> LocalWorld {
    let world = LocalWorld::new(SETTINGS, &[("test", PIPELINE)]).await;
    let keys = ["a", "b", "c"];
    world.send("in", (0..20).map(|n| (keys[n as usize % 3], ticket(n)))).await;
    let poison = |value: Option<&'static str>| vivremotion::stream::Output {
        topic: "in".into(),
        partition: None,
        key: Some("a".into()),
        value: value.map(Into::into),
        headers: Vec::new(),
        timestamp: None,
    };
    world.log.send(vec![poison(Some("{")), poison(None)]).await.unwrap();
    world.run().await;
    world
}

fn order() -> Order {
    Order { period: (None, None), finished: true, ledger: None, most_events: MOST_EVENTS }
}

async fn audited(world: &LocalWorld, order: &Order) -> Report {
    let desk = Desk {
        settings: &world.settings,
        log: &*world.log,
        codecs: &world.codecs,
        clock: &world.clock,
    };
    let plan = world.plans().remove(0);
    verify(&desk, &plan, order, &mut |_, _| {}).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Check and code of every finding.
async fn found(world: &LocalWorld) -> Vec<(Check, &'static str)> {
    let report = audited(world, &order()).await;
    let all = report.verdicts.iter().flat_map(|verdict| &verdict.findings);
    all.map(|finding| (finding.check, finding.code)).collect()
}

#[tokio::test]
async fn an_honest_run_has_no_findings() {
    let world = done().await;
    let report = audited(&world, &order()).await;
    assert_eq!(report.found(), 0, "{report:#?}");
    assert_eq!((report.events, report.done, report.lag, report.outside), (22, 22, 0, 0));
    let judged: Vec<u64> = report.verdicts.iter().map(|verdict| verdict.judged).collect();
    // Eighteen results and what was published; dead letters of bad events, of what is no JSON, of the tombstone.
    assert!(judged[0] > 18 && judged[1] >= 5 && judged[3] > 18 && judged[6] > 36, "{judged:?}");
    assert!(judged[7] > 18, "every call is in the journal: {judged:?}");
    // It goes on, and replays nothing: still none.
    world.send("in", [("a", ticket(0)), ("b", ticket(3))]).await;
    let behind = audited(&world, &Order { finished: false, ..order() }).await;
    assert_eq!((behind.found(), behind.lag), (0, 2), "{behind:#?}");
    assert_eq!(found(&world).await, [(Check::C5, "not-done-yet"); 2]);
    world.run().await;
    assert_eq!(found(&world).await, []);
}

#[tokio::test]
async fn a_result_that_is_gone_or_doubled_is_found() {
    let world = done().await;
    let results = world.records("out").await;
    world.copy(&results[4]).await;
    let twice = found(&world).await;
    assert!(twice.contains(&(Check::C1, "result-twice")), "{twice:?}");
    world.remove("out", results.len() as i64);
    assert_eq!(found(&world).await, []);
    let completed = results.iter().find(|r| r.offset > 0 && value(r)["status"] == "completed");
    world.remove("out", completed.unwrap().offset);
    assert_eq!(found(&world).await, [(Check::C1, "no-result")]);
}

#[tokio::test]
async fn a_published_record_that_is_doubled_is_found() {
    let world = done().await;
    let published = world.records("alarms").await;
    world.copy(&published[1]).await;
    assert_eq!(found(&world).await, [(Check::C1, "published-twice")]);
}

#[tokio::test]
async fn a_dead_letter_that_is_gone_doubled_or_changed_is_found() {
    let world = done().await;
    let letters = world.records("in.test.dlq").await;
    world.copy(&letters[1]).await;
    let twice = found(&world).await;
    assert!(twice.contains(&(Check::C2, "dead-letter-twice")), "{twice:?}");
    world.remove("in.test.dlq", letters.len() as i64);
    world.overwrite("in.test.dlq", 1, "{}");
    assert_eq!(found(&world).await, [(Check::C3, "not-untouched")]);
    world.remove("in.test.dlq", 1);
    assert_eq!(found(&world).await, [(Check::C2, "no-dead-letter")]);
}

#[tokio::test]
async fn a_result_that_speaks_of_another_event_is_found() {
    let world = done().await;
    let results = world.records("out").await;
    let other = value(&results[5])["event_id"].clone();
    let mut changed = value(&results[4]);
    changed["event_id"] = other;
    world.overwrite("out", 4, &changed.to_string());
    assert_eq!(found(&world).await, [(Check::C3, "does-not-fit")]);
}

#[tokio::test]
async fn results_out_of_order_are_found() {
    let world = done().await;
    let results = world.records("out").await;
    let of_a: Vec<_> = results.iter().filter(|r| r.key.as_deref() == Some(b"a")).collect();
    // The first comes to stand behind all others.
    world.copy(of_a[0]).await;
    world.disown("out", of_a[0].offset);
    assert_eq!(found(&world).await, [(Check::C4, "out-of-order")]);
}

#[tokio::test]
async fn progress_that_went_too_far_or_back_is_found() {
    let world = done().await;
    world.commit("vivremotion.test", "in", 23);
    assert_eq!(found(&world).await, [(Check::C5, "beyond-end")]);
    // Back by one: what it left is visible, and by its progress it is not done.
    world.commit("vivremotion.test", "in", 21);
    let found = found(&world).await;
    assert!(found.contains(&(Check::C6, "not-done")), "{found:?}");
}

#[tokio::test]
async fn money_that_does_not_sum_up_is_found() {
    let world = done().await;
    let costs = world.records("vivremotion.costs").await;
    world.copy(&costs[2]).await;
    let twice = found(&world).await;
    assert!(twice.contains(&(Check::C7, "cost-twice")), "{twice:?}");
    world.remove("vivremotion.costs", costs.len() as i64);
    let mut dearer = value(&costs[2]);
    dearer["amount"] = "1.5".into();
    world.overwrite("vivremotion.costs", 2, &dearer.to_string());
    assert_eq!(found(&world).await, [(Check::C7, "total"), (Check::C7, "unlike-journal")]);
    world.remove("vivremotion.costs", 2);
    assert_eq!(found(&world).await, [(Check::C7, "no-cost"), (Check::C7, "total")]);
}

#[tokio::test]
async fn a_journal_that_tells_another_story_is_found() {
    let world = done().await;
    let journal = world.records("vivremotion.test.journal").await;
    let outcome = |record: &Record| {
        let told = value(record);
        let entries = told["entries"].as_array().unwrap();
        entries.iter().position(|entry| entry["what"]["outcome"]["answer"].is_object())
    };
    let found_at = journal.iter().find_map(|record| Some((record, outcome(record)?)));
    let (outcome, at) = found_at.unwrap();
    let told = value(outcome);
    let attempt = &told["entries"][at]["what"]["outcome"]["attempt"]["id"];
    let attempt = attempt.as_str().unwrap();
    // The same call, paid once more by another attempt.
    let another = "00000000-0000-4000-8000-000000000007";
    let again = told.to_string().replace(attempt, another);
    world.copy(&Record { value: Some(again.into()), ..outcome.clone() }).await;
    let twice = found(&world).await;
    assert_eq!(twice, [(Check::C7, "no-cost"), (Check::C8, "paid-twice")]);
    world.remove("vivremotion.test.journal", journal.len() as i64);
    let mut other = told.clone();
    other["entries"][at]["what"]["outcome"]["attempt"]["amount"] = "7".into();
    world.overwrite("vivremotion.test.journal", outcome.offset, &other.to_string());
    assert_eq!(found(&world).await, [(Check::C7, "unlike-journal")]);
}

#[tokio::test]
async fn an_input_that_was_never_there_is_found() {
    let world = done().await;
    world.remove("in", 4);
    let found = found(&world).await;
    assert!(found.contains(&(Check::C1, "no-input")), "{found:?}");
    assert!(found.contains(&(Check::C7, "no-input")), "{found:?}");
}

#[tokio::test]
async fn a_period_asks_about_its_events_only() {
    let world = done().await;
    let later = world.clock.now() + 1;
    while world.clock.now() <= later {
        tokio::task::yield_now().await;
    }
    world.send("in", (0..4).map(|n| ("k", ticket(n)))).await;
    world.run().await;
    world.remove("out", 4);
    let since = Order { period: (Some(later), None), ..order() };
    let report = audited(&world, &since).await;
    assert_eq!((report.found(), report.events), (0, 4), "{report:#?}");
    let until = Order { period: (None, Some(later)), ..order() };
    let report = audited(&world, &until).await;
    assert_eq!((report.found(), report.events), (1, 22), "{report:#?}");
}

#[tokio::test]
async fn the_ledger_of_the_provider_must_be_readable() {
    let world = done().await;
    let path = world.folder.path().join("ledger.ndjson");
    std::fs::write(&path, "{}\n").unwrap();
    let with = Order { ledger: Some(PathBuf::from(&path)), ..order() };
    let desk = Desk {
        settings: &world.settings,
        log: &*world.log,
        codecs: &world.codecs,
        clock: &world.clock,
    };
    let plan = world.plans().remove(0);
    let error = verify(&desk, &plan, &with, &mut |_, _| {}).await.unwrap_err();
    assert!(error.0.contains("ledger.ndjson`, line 1"), "{error}");
}
