//! `replay` on a local log: what failed comes back as the same event, once, and for its own group only.

use serde_json::{Value, json};
use vivremotion::app::replay::{Dry, Order, bring_back, look};
use vivremotion::app::verify::{self, Desk, verify};
use vivremotion::audit::MOST_EVENTS;
use vivremotion::base::clock::parse_time;
use vivremotion::event::identity::Origin;
use vivremotion::replay::Filter;
use vivremotion::replay::pick::condition;
use vivremotion::stream::Output;

use crate::support::driver::{text_header, value};
use crate::support::local::LocalWorld;

const BROKEN: &str = "models: { small: simulated/m+status-400 }\n";
const MENDED: &str = "source: { topic: in, from: earliest }
stages: { answer: { map: { text: \"{{ event.text }}\", time: \"{{ record.time }}\" } } }
sink: { topic: out }
";
const PIPELINE: &str = "source: { topic: in, from: earliest }
stages: { answer: { generate: { model: small, prompt: \"{{ event.text }} {{ record.time }}\" } } }
sink: { topic: out }
budget: { per_event: 0.5 USD }
";

fn priced() -> String {
    format!(
        "{BROKEN}prices: {{ simulated/m+status-400: [ {{ from: 2026-01-01, input: 1 USD, output: 2 USD }} ] }}\n"
    )
}

/// Three events that failed.
async fn failed() -> LocalWorld {
    let pipelines = [("one", PIPELINE), ("two", MENDED)];
    let two = MENDED.replace("topic: out", "topic: other");
    let pipelines = [pipelines[0], (pipelines[1].0, two.as_str())];
    let world = LocalWorld::new(&priced(), &pipelines).await;
    let event = |n: u64| json!({ "text": format!("t{n}"), "n": n });
    world.send("in", [("a", event(0)), ("b", event(1)), ("a", event(2))]).await;
    world.run().await;
    assert_eq!(world.records("in.one.dlq").await.len(), 3);
    assert_eq!(world.records("other").await.len(), 3);
    world
}

fn order() -> Order {
    Order { filter: Filter::default(), inputs: false, again: false, limit: None, rate: 1_000 }
}

fn desk(world: &LocalWorld) -> Desk<'_> {
    Desk { settings: &world.settings, log: &*world.log, codecs: &world.codecs, clock: &world.clock }
}

async fn dry(world: &LocalWorld, order: &Order) -> Dry {
    let plan = world.plans().remove(0);
    look(&desk(world), &plan, order, &mut |_, _| {}).await.unwrap()
}

/// The records written.
async fn replayed(world: &LocalWorld, order: &Order) -> u64 {
    let plan = world.plans().remove(0);
    let dry = dry(world, order).await;
    let mut told = 0;
    let sent = bring_back(&desk(world), &plan, order, &dry, &mut |done, _| told = done).await;
    assert_eq!(*sent.as_ref().unwrap(), told);
    sent.unwrap()
}

/// Results by where their events came from.
fn sorted(mut results: Vec<Value>) -> Vec<Value> {
    results.sort_by_key(|result| result["origin"]["offset"].as_i64());
    results
}

/// Nothing is wrong with the history of either pipeline.
async fn clean(world: &LocalWorld) {
    let order = verify::Order {
        period: (None, None),
        finished: true,
        ledger: None,
        most_events: MOST_EVENTS,
    };
    for plan in world.plans() {
        let report = verify(&desk(world), &plan, &order, &mut |_, _| {}).await.unwrap();
        assert_eq!(report.found(), 0, "{report:#?}");
    }
}

#[tokio::test]
async fn dead_letters_come_back_as_the_same_events_and_are_answered() {
    let mut world = failed().await;
    let before = sorted(world.values("out").await);
    let dry = dry(&world, &order()).await;
    assert_eq!((dry.read, dry.events, dry.counts.codes["invalid-request"]), (3, 3, 3));
    assert_eq!(dry.estimate.most.unwrap().to_string(), "1.5");
    assert_eq!(dry.estimate.from_events, 3);
    assert_eq!(world.records("in").await.len(), 3, "it wrote nothing");

    world.pipeline("one", MENDED);
    assert_eq!(replayed(&world, &order()).await, 3);
    world.run().await;
    let after = world.values("out").await;
    assert_eq!(after.len(), 6);
    let inputs = world.records("in").await;
    for (before, after) in before.iter().zip(&sorted(after[3..].to_vec())) {
        assert_eq!(
            (before["status"].clone(), after["status"].clone()),
            ("failed".into(), "completed".into())
        );
        for same in ["id", "event_id", "origin", "request_id"] {
            assert_eq!(before[same], after[same], "{same}");
        }
        assert_eq!(before["replay_of"], Value::Null);
        assert_eq!(after["replay_of"], before["id"], "the second one is recognisable");
        // It renders what the first run did.
        let output: Value =
            serde_json::from_str(after["outputs"]["answer"]["value"].as_str().unwrap()).unwrap();
        let time = |value: &Value| parse_time(value.as_str().unwrap()).unwrap();
        assert_eq!(time(&output["time"]), time(&after["origin"]["timestamp"]));
    }
    for again in &inputs[3..] {
        let origin: Origin = text_header(again, "vivremotion.origin").parse().unwrap();
        let first = &inputs[usize::try_from(origin.offset).unwrap()];
        assert_eq!((&first.key, &first.value), (&again.key, &again.value));
        assert_eq!(text_header(again, "vivremotion.replay_count"), "1");
    }
    assert_eq!(world.records("other").await.len(), 3, "the other group passed over them");
    clean(&world).await;
}

#[tokio::test]
async fn what_was_brought_back_is_not_brought_back_again() {
    let mut world = failed().await;
    assert_eq!(replayed(&world, &Order { limit: Some(1), ..order() }).await, 1);
    // It is on its way.
    let second = dry(&world, &order()).await;
    assert_eq!((second.events, second.counts.on_their_way), (2, 1));
    // It failed again: it counts once.
    world.run().await;
    let third = dry(&world, &order()).await;
    assert_eq!((third.read, third.events, third.counts.superseded), (4, 3, 1));
    clean(&world).await;
    // All are answered.
    world.pipeline("one", MENDED);
    assert_eq!(replayed(&world, &order()).await, 3);
    world.run().await;
    let fourth = dry(&world, &order()).await;
    assert_eq!((fourth.events, fourth.counts.answered), (0, 3));
    assert_eq!(replayed(&world, &order()).await, 0);
    clean(&world).await;
    // By intent, they come once more.
    assert_eq!(replayed(&world, &Order { again: true, ..order() }).await, 3);
    world.run().await;
    let counts: Vec<String> = world.records("in").await[7..]
        .iter()
        .map(|record| text_header(record, "vivremotion.replay_count"))
        .collect();
    assert_eq!(counts.len(), 3, "{counts:?}");
    clean(&world).await;
}

#[tokio::test]
async fn a_filter_takes_some_of_them() {
    let world = failed().await;
    let with = |filter| Order { filter, ..order() };
    let key = Filter { key: Some("a".to_owned()), ..Filter::default() };
    assert_eq!(dry(&world, &with(key)).await.events, 2);
    let code = Filter { codes: vec!["timeout".to_owned()], ..Filter::default() };
    assert_eq!(dry(&world, &with(code)).await.events, 0);
    let told = condition("event.n >= 1 and dead_letter.stage == 'answer'").unwrap();
    let told = Filter { condition: Some(told), ..Filter::default() };
    assert_eq!(dry(&world, &with(told)).await.events, 2);
    let untold = condition("event.nobody == 1").unwrap();
    let untold = dry(&world, &with(Filter { condition: Some(untold), ..Filter::default() })).await;
    assert_eq!((untold.events, untold.untold.0), (0, 3));
    assert!(untold.untold.1.unwrap().starts_with("in.one.dlq/0@0: "));
}

#[tokio::test]
async fn records_of_a_period_come_back_however_they_ended() {
    let mut world = failed().await;
    world.pipeline("one", MENDED);
    world.send("in", [("c", json!({ "text": "t3", "n": 3 }))]).await;
    let inputs = Order { inputs: true, ..order() };
    // The last is not done, so it runs anyway.
    let first = dry(&world, &inputs).await;
    assert_eq!((first.read, first.events, first.counts.waiting), (4, 3, 1));
    world.run().await;
    let some = condition("event.n > 1").unwrap();
    let filter = Filter { condition: Some(some), ..Filter::default() };
    let some = Order { filter, ..inputs.clone() };
    assert_eq!(replayed(&world, &some).await, 2);
    world.run().await;
    let results = world.values("out").await;
    let again: Vec<&Value> = results.iter().filter(|r| !r["replay_of"].is_null()).collect();
    let mut offsets: Vec<i64> =
        again.iter().map(|r| r["origin"]["offset"].as_i64().unwrap()).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [2, 3]);
    clean(&world).await;
}

#[tokio::test]
async fn a_replay_that_names_no_group_or_a_wrong_origin_is_an_event_of_its_own() {
    let mut world = failed().await;
    world.pipeline("one", MENDED);
    let letters = world.records("in.one.dlq").await;
    let plan = world.plans().remove(0);
    let source = &plan.source.topic;
    let candidate =
        vivremotion::replay::Candidate::of_letter(&letters[0], source, "one", &plan.group);
    let right = vivremotion::replay::replay(&candidate.unwrap().unwrap(), "one", &plan.group, &[]);
    let without = |name: &str| {
        let mut output = right.clone();
        output.headers.retain(|(held, _)| held != name);
        output
    };
    let wrong = |name: &str, value: &str| {
        let mut output = without(name);
        output.headers.push((name.to_owned().into(), Some(value.to_owned().into())));
        output
    };
    let origin = text_header(&letters[1], "vivremotion.origin");
    let outputs: Vec<Output> = vec![
        without("vivremotion.group"),
        wrong("vivremotion.origin", &origin),
        wrong("vivremotion.group", "another"),
        right.clone(),
    ];
    world.log.send(outputs).await.unwrap();
    world.run().await;
    let results = world.values("out").await;
    let ids: Vec<Value> = results.iter().map(|result| result["event_id"].clone()).collect();
    let first = value(&world.records("out").await[0])["event_id"].clone();
    // The first three failed. Two are new events, one is not for this group, the last is the first event again.
    assert_eq!(ids.len(), 6, "{ids:?}");
    assert!(!ids[..3].contains(&ids[3]) && !ids[..3].contains(&ids[4]) && ids[3] != ids[4]);
    assert_eq!(ids[5], first);
}

/// Two calls, the second with that model.
fn two_calls(second: &str) -> String {
    format!(
        "source: {{ topic: in, from: earliest }}
stages:
  first: {{ generate: {{ model: small, prompt: \"{{{{ event.text }}}}\" }} }}
  second: {{ needs: [first], generate: {{ model: {second}, prompt: \"{{{{ first }}}}\" }} }}
sink: {{ topic: out, outputs: [first, second] }}
"
    )
}

#[tokio::test]
async fn finished_calls_of_what_comes_back_are_free() {
    let settings = "
models: { small: simulated/small, bad: simulated/m+status-400 }
prices: { simulated/small: [ { from: 2026-01-01, input: 1 USD, output: 2 USD } ] }
";
    let mut world = LocalWorld::new(settings, &[("one", &two_calls("bad"))]).await;
    let event = |n: u64| json!({ "text": format!("t{n}"), "n": n });
    world.send("in", [("a", event(0)), ("b", event(1))]).await;
    world.run().await;
    let paid = async |stage: &str, world: &LocalWorld| {
        let costs = world.values("vivremotion.costs").await;
        let ok = costs.iter().filter(|cost| cost["stage"] == stage && cost["outcome"] == "ok");
        ok.count()
    };
    assert_eq!((paid("first", &world).await, paid("second", &world).await), (2, 0));
    // A dead letter says itself where the journal tells of it.
    world.pipeline("one", &two_calls("small"));
    assert_eq!(replayed(&world, &order()).await, 2);
    world.run().await;
    assert_eq!((paid("first", &world).await, paid("second", &world).await), (2, 2));
    // Any other record is looked up: nothing is left to be paid.
    assert_eq!(replayed(&world, &Order { inputs: true, again: true, ..order() }).await, 2);
    world.run().await;
    assert_eq!((paid("first", &world).await, paid("second", &world).await), (2, 2));
    let results = world.values("out").await;
    let last: Vec<(&Value, &Value)> =
        results[4..].iter().map(|result| (&result["status"], &result["amount"])).collect();
    assert_eq!(last, [(&json!("completed"), &json!("0")); 2]);
    clean(&world).await;
}
