use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::json;

use super::pick::condition;
use super::*;
use crate::audit::Spot;
use crate::event::identity::Origin;
use crate::event::ids::{EventId, ResultId};
use crate::flow::consume::Consumed;
use crate::flow::decode::identify;
use crate::flow::identity::Expressions;
use crate::stream::{Epoch, Headers, Output, Progress, Record, TopicPartition, header};

const PIPELINE: &str = "p";
const GROUP: &str = "g.p";

fn origin(offset: i64) -> Origin {
    let (cluster, topic) = ("c".to_owned(), "in".to_owned());
    Origin { cluster, topic, partition: 2, offset, timestamp: 500 + offset }
}

fn id(offset: i64) -> EventId {
    EventId::new("c", "in", 2, offset, 500 + offset)
}

fn headers(list: &[(&str, &str)]) -> Headers {
    let one = |(name, value): &(&str, &str)| {
        ((*name).to_owned().into(), Some(Bytes::from((*value).to_owned())))
    };
    list.iter().map(one).collect()
}

/// The dead letter of a record that stood at `input`; it stands at `at`.
fn letter(event: i64, input: i64, at: i64, own: &[(&str, &str)], code: &str) -> Record {
    let mut all = headers(own);
    all.extend(headers(&[
        ("vivremotion.event_id", &id(event).to_string()),
        ("vivremotion.origin", &origin(event).to_string()),
        ("vivremotion.pipeline", PIPELINE),
        ("vivremotion.group", GROUP),
        ("vivremotion.digest", "d"),
        ("vivremotion.error.class", "transient"),
        ("vivremotion.error.code", code),
        ("vivremotion.error.stage", "answer"),
        ("vivremotion.error.attempts", "3"),
        ("vivremotion.error.cost", "0.02 USD"),
        ("__connect.errors.topic", "in"),
        ("__connect.errors.partition", "2"),
        ("__connect.errors.offset", &input.to_string()),
    ]));
    Record {
        at: TopicPartition { topic: "dlq".into(), partition: 2 },
        offset: at,
        timestamp: 9_000 + at,
        key: Some("k".into()),
        value: Some(Bytes::from(json!({ "n": event }).to_string())),
        headers: all,
    }
}

fn candidate(letter: &Record) -> Candidate {
    Candidate::of_letter(letter, &"in".into(), PIPELINE, GROUP).unwrap().unwrap()
}

/// As it will stand in the source.
fn record(output: &Output, offset: i64) -> Record {
    let Output { topic, partition, key, value, headers, .. } = output.clone();
    let at = TopicPartition { topic, partition: partition.unwrap() };
    Record { at, offset, timestamp: 20_000, key, value, headers }
}

fn text<'r>(headers: &'r Headers, name: &str) -> Option<&'r str> {
    header(headers, name).map(|value| std::str::from_utf8(value).unwrap())
}

#[test]
fn what_comes_back_is_the_same_event_with_everything_untouched() {
    let own = [("ce_id", "r-1"), ("h", "1"), ("h", "2"), ("vivremotion.event_id", "of another")];
    let letter = letter(7, 7, 0, &own, "timeout");
    let output = replay(&candidate(&letter), PIPELINE, GROUP, &["2/10-20".parse().unwrap()]);
    assert_eq!((&*output.topic, output.partition), ("in", Some(2)));
    assert_eq!((&output.key, &output.value), (&letter.key, &letter.value));
    assert_eq!(output.headers[..4], headers(&own)[..]);
    let names: Vec<&str> = output.headers[4..].iter().map(|(name, _)| &**name).collect();
    let set = ["event_id", "origin", "group", "replay_of", "replay_count", "journal"];
    assert_eq!(names, set.map(|name| format!("vivremotion.{name}")));
    let of = ResultId::new(id(7), GROUP, PIPELINE, "result", 0).to_string();
    assert_eq!(text(&output.headers, "vivremotion.replay_of"), Some(of.as_str()));
    assert_eq!(text(&output.headers, "vivremotion.replay_count"), Some("1"));
    assert_eq!(text(&output.headers, "vivremotion.journal"), Some("2/10-20"));

    // The corridor's own door knows it again.
    let consumed = Consumed::new(record(&output, 99), Epoch(0), 0);
    let (event, from, replay_of) = identify(&"c".into(), &consumed);
    assert_eq!((event, from, replay_of), (id(7), origin(7), Some(of)));
}

#[test]
fn it_does_not_grow_when_it_fails_again_and_again() {
    let own = [("ce_id", "r-1")];
    let first = replay(&candidate(&letter(7, 7, 0, &own, "timeout")), PIPELINE, GROUP, &[]);
    let mut last = first.clone();
    for round in 2..5 {
        let own: Vec<(String, String)> = last
            .headers
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8(value.clone().unwrap().to_vec()).unwrap())
            })
            .collect();
        let own: Vec<(&str, &str)> =
            own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let again = letter(7, 90 + round, round, &own, "timeout");
        last = replay(&candidate(&again), PIPELINE, GROUP, &[]);
        assert_eq!(last.headers.len(), first.headers.len());
        let count = round.to_string();
        assert_eq!(text(&last.headers, "vivremotion.replay_count"), Some(count.as_str()));
    }
}

#[test]
fn a_dead_letter_that_names_another_event_or_topic_is_refused() {
    let set = |name: &str, value: &str| {
        let mut letter = letter(7, 7, 0, &[], "timeout");
        letter.headers.push((name.to_owned().into(), Some(Bytes::from(value.to_owned()))));
        Candidate::of_letter(&letter, &"in".into(), PIPELINE, GROUP).map(|found| found.is_some())
    };
    assert_eq!(set("x", "y"), Ok(true));
    assert_eq!(set("vivremotion.group", "another"), Ok(false));
    let origin = set("vivremotion.origin", &origin(8).to_string()).unwrap_err();
    assert!(origin.contains("does not hash"), "{origin}");
    let offset = set("__connect.errors.offset", "x").unwrap_err();
    assert!(offset.contains("`__connect.errors.offset` can't be read"), "{offset}");
    let omitted = set("vivremotion.error.omitted", "value").unwrap_err();
    assert!(omitted.contains("did not take its value"), "{omitted}");
    let order = format!("--inputs --pipeline {PIPELINE} --from 1970-01-01T00:00:0");
    assert!(omitted.contains(&order) && omitted.contains("in/2@7"), "{omitted}");
    let letter = letter(7, 7, 0, &[], "timeout");
    let moved = Candidate::of_letter(&letter, &"elsewhere".into(), PIPELINE, GROUP).unwrap_err();
    assert!(moved.contains("came from topic `in`"), "{moved}");
}

fn takes(filter: Filter, event: Option<serde_json::Value>) -> Result<bool, String> {
    let candidate = candidate(&letter(7, 7, 0, &[("tier", "gold")], "timeout"));
    let plain = filter.takes(&candidate);
    filter.is_true(&candidate, event, &Expressions::default()).map(|told| told && plain)
}

#[test]
fn a_filter_asks_for_code_stage_key_and_time() {
    let ask = |filter: Filter| takes(filter, None).unwrap();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert!(ask(Filter::default()));
    assert!(ask(Filter { codes: words(&["x", "timeout"]), ..Filter::default() }));
    assert!(!ask(Filter { codes: words(&["x"]), ..Filter::default() }));
    assert!(ask(Filter { stages: words(&["answer"]), ..Filter::default() }));
    assert!(!ask(Filter { stages: words(&["other"]), ..Filter::default() }));
    assert!(ask(Filter { key: Some("k".to_owned()), ..Filter::default() }));
    assert!(!ask(Filter { key: Some("other".to_owned()), ..Filter::default() }));
    // Of the dead letter, which was written at 9,000.
    assert!(ask(Filter { period: (Some(9_000), Some(9_001)), ..Filter::default() }));
    assert!(!ask(Filter { period: (Some(9_001), None), ..Filter::default() }));
    assert!(!ask(Filter { period: (None, Some(9_000)), ..Filter::default() }));
}

#[test]
fn a_condition_sees_event_record_and_dead_letter() {
    let ask = |text: &str| {
        let condition = Some(condition(text).unwrap());
        takes(Filter { condition, ..Filter::default() }, Some(json!({ "n": 7, "tenant": "t" })))
    };
    for (text, expected) in [
        ("event.n == 7", true),
        ("event.n > 7", false),
        ("record.headers.tier == 'gold' and record.key == 'k'", true),
        ("record.tenant == 't' and record.topic == 'in'", true),
        ("record.time == '1970-01-01T00:00:00.507Z'", true),
        ("dead_letter.code == 'timeout' and dead_letter.stage == 'answer'", true),
        ("dead_letter.attempts >= 3 and dead_letter.class == 'transient'", true),
    ] {
        assert_eq!(ask(text), Ok(expected), "{text}");
    }
    assert!(ask("event.missing == 1").unwrap_err().contains("not there"));
    // What can't be decoded has no event to ask about.
    let condition = Some(condition("event.n == 7").unwrap());
    assert!(takes(Filter { condition, ..Filter::default() }, None).is_err());
}

#[test]
fn a_condition_that_names_anything_else_is_refused_at_once() {
    let error = condition("deadletter.code == 'x'").unwrap_err();
    assert!(error.0.contains("`deadletter` is not there"), "{error}");
    assert!(error.0.contains("did you mean `dead_letter`"), "{error}");
    assert!(condition("event.n ==").is_err());
}

fn progress(base: i64, done: &[i64]) -> BTreeMap<i32, Progress> {
    let high = done.iter().max().map_or(base, |high| high + 1);
    let incomplete = (base..high).filter(|offset| !done.contains(offset)).collect();
    BTreeMap::from([(2, Progress { base, high, incomplete, ..Progress::default() })])
}

fn survey(progress: BTreeMap<i32, Progress>, letters: &[Record]) -> Survey {
    let mut survey = Survey::new(progress, 100);
    for letter in letters {
        assert!(survey.take(&candidate(letter), Spot::of(letter), true));
    }
    survey
}

#[test]
fn a_dead_letter_that_was_brought_back_is_left_out() {
    let letters = [letter(1, 1, 0, &[], "timeout"), letter(2, 2, 1, &[], "panic")];
    let mut survey = survey(progress(11, &[12]), &letters);
    let chosen = |survey: &Survey, again| {
        letters
            .each_ref()
            .map(|letter| survey.chosen(candidate(letter).event, &Spot::of(letter), again))
    };
    assert_eq!(chosen(&survey, false), [true, true]);
    let counts = survey.counts(false);
    assert_eq!(counts.codes, BTreeMap::from([("panic".to_owned(), 1), ("timeout".to_owned(), 1)]));

    // Brought back at 11, which is not done: on its way, asked for or not.
    survey.brought_back(id(1), 2, 11);
    assert_eq!(chosen(&survey, false), [false, true]);
    assert_eq!(chosen(&survey, true), [false, true]);
    let counts = survey.counts(true);
    assert_eq!((counts.events, counts.on_their_way, counts.answered), (1, 1, 0));

    // Brought back at 12, which is done, and no dead letter came of it: answered.
    survey.brought_back(id(2), 2, 12);
    assert_eq!(chosen(&survey, false), [false, false]);
    assert_eq!(chosen(&survey, true), [false, true]);
    let counts = survey.counts(false);
    assert_eq!((counts.events, counts.on_their_way, counts.answered), (0, 1, 1));
}

#[test]
fn an_event_that_failed_again_counts_by_its_newest_dead_letter() {
    let letters = [letter(1, 1, 0, &[], "timeout"), letter(1, 11, 1, &[], "panic")];
    let mut survey = survey(progress(12, &[]), &letters);
    // The replay that led to the second dead letter.
    survey.brought_back(id(1), 2, 11);
    let counts = survey.counts(false);
    assert_eq!((counts.events, counts.superseded, counts.answered), (1, 1, 0));
    assert_eq!(counts.codes, BTreeMap::from([("panic".to_owned(), 1)]));
    assert!(!survey.chosen(id(1), &Spot::of(&letters[0]), true));
    assert!(survey.chosen(id(1), &Spot::of(&letters[1]), false));
}

#[test]
fn what_is_not_meant_or_not_done_stays() {
    let mut survey = Survey::new(progress(5, &[]), 2);
    let (done, open) = (letter(1, 1, 0, &[], "x"), letter(7, 7, 1, &[], "x"));
    assert!(survey.take(&candidate(&done), Spot::of(&done), false));
    assert!(survey.take(&candidate(&open), Spot::of(&open), true));
    let counts = survey.counts(false);
    assert_eq!((counts.events, counts.waiting), (0, 1));
    let third = letter(3, 3, 2, &[], "x");
    assert!(!survey.take(&candidate(&third), Spot::of(&third), true), "there is a bound");
}

#[test]
fn each_run_of_an_event_has_its_range_of_the_journal() {
    use crate::journal::entry::Place;
    let mut ranges = Ranges::default();
    let place = |input| Place { topic: "in".into(), partition: 2, offset: input };
    for (event, input, offset) in [(1, 1, 10), (2, 2, 11), (1, 1, 14), (1, 30, 90), (1, 30, 92)] {
        ranges.take(id(event), &place(Some(input)), (7, offset));
    }
    ranges.take(id(1), &place(None), (7, 500));
    let shown = |event| ranges.of(id(event)).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(1), ["7/10-15", "7/90-93"]);
    assert_eq!(shown(2), ["7/11-12"]);
    assert!(shown(3).is_empty());
    for run in 0..20 {
        ranges.take(id(3), &place(Some(run)), (7, 100 + run));
    }
    assert_eq!(ranges.of(id(3)).len(), 8);
    assert_eq!(ranges.of(id(3))[7].from, 119);
}
