use proptest::prelude::*;
use serde::Serialize;

use super::*;
use crate::event::ids::EventId;
use crate::journal::entry::{Entry, Place};
use crate::journal::{Memory, record};
use crate::stream::Record;

const ID: &str = r#""0193b0a0-0000-4000-8000-000000000001""#;
const ATTEMPT: &str = r#""stage":"answer","number":2,"operation":"chat","provider":"p \"1\"","account":"a","request_model":"m""#;
const COSTS: &str =
    r#""usage":{"input":12,"cache_read":0,"cache_write":1,"output":3,"reasoning":0}"#;
const TIMES: &str = r#""outcome":"ok","started_at":1795374471500,"duration_us":-1"#;
const DECISION: &str =
    r#"{"policy":"first_healthy","chosen":"p/m","probability":0.25,"candidates":["p/m","q/n"]}"#;
const LINE: &str = r#"{"unit":"input_tokens","quantity":12,"unit_price":"0.4","per":1000000}"#;
const ANSWER: &str = r#""stage":"answer","operation":"chat","ordinal":0"#;

#[derive(Serialize)]
struct General<'a> {
    what: &'a What,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<EventId>,
}

/// What serde reads from a text, told straight, is what serde writes.
#[test]
fn outcomes_are_written_as_the_general_writer_would() {
    let attempt =
        format!(r#"{{"id":{ID},{ATTEMPT},{COSTS},"lines":[],"price_status":"unpriced",{TIMES}}}"#);
    let full = format!(
        r#"{{"id":{ID},"item":3,{ATTEMPT},"response_model":"r","provider_request_id":"x","batch_id":"b",{COSTS},"amount":"-0.0004","lines":[{LINE},{LINE}],"price_status":"priced","catalogue":"c","finish_reason":"stop",{TIMES},"ttfc_us":7,"decision":{DECISION}}}"#
    );
    let answer = format!(r#"{{{ANSWER},"digest":{ID},"item":4,"value":{{"text":"ü\n"}}}}"#);
    for outcome in [
        format!(r#"{{"attempt":{attempt}}}"#),
        format!(r#"{{"attempt":{full},"answer":{answer}}}"#),
        format!(r#"{{"answer":{answer}}}"#),
        "{}".to_owned(),
    ] {
        for about in [About::PARTITION, about(7)] {
            let what: What = serde_json::from_str(&format!(r#"{{"outcome":{outcome}}}"#)).unwrap();
            let About { offset: at, event } = about;
            let general = serde_json::to_string(&General { what: &what, at, event }).unwrap();
            let Told::Outcome { text, parts, .. } = Told::new(about, what) else { panic!() };
            assert_eq!((String::from_utf8(text).unwrap(), parts.len()), (general, 0));
        }
    }
}

fn about(offset: i64) -> About {
    About::event(offset, EventId::new("c", "in", 3, offset, 0))
}

fn input() -> TopicPartition {
    TopicPartition { topic: "in".into(), partition: 3 }
}

/// The question of the stage `answer`.
fn question(ordinal: u32) -> Question<'static> {
    let digest = Digest::of(&[b"q"]);
    Question { stage: "answer", item: None, operation: "chat", ordinal, digest }
}

/// What an outcome tells of that attempt.
fn ended(attempt: u128) -> What {
    let What::Intent(intent) = What::intent(attempt, 7) else { unreachable!() };
    let place = Place { topic: "in".into(), partition: 3, offset: Some(1) };
    let (event, what) = (about(1).event, What::Intent(intent));
    let mut memory = Memory::default();
    memory.take(Entry { place, event, run: 1, what }, |_| false);
    let attempt = memory.attempts().next().map(Box::new);
    What::Outcome(Outcome { attempt, answer: None })
}

/// What a reader remembers of those records.
fn remembered(outputs: Vec<Output>) -> (Memory, Vec<String>) {
    let (mut memory, mut whats) = (Memory::default(), Vec::new());
    for Output { key, value, headers, .. } in outputs {
        let at = TopicPartition { topic: "g.journal".into(), partition: 1 };
        let record = Record { at, offset: 0, timestamp: 0, key, value, headers };
        for entry in record::read(&record).unwrap() {
            whats.push(format!("{:?}", entry.what));
            memory.take(entry, |_| false);
        }
    }
    (memory, whats)
}

fn told(told: &[(About, What)]) -> Vec<Output> {
    told_with(&mut Batch::new(1), told)
}

/// The same with a batch that may have been used before, and will be again.
fn told_with(batch: &mut Batch, told: &[(About, What)]) -> Vec<Output> {
    told.iter().for_each(|(about, what)| batch.push(Told::new(*about, what.clone())));
    let mut records = batch.records((&"g.journal".into(), 1), &input());
    // Who writes has one that nobody else holds.
    if let Some(Output { value: Some(value), .. }) = records.first_mut() {
        let own = Bytes::from(value.to_vec());
        let written = Some(std::mem::replace(value, own));
        batch.reuse(Output { value: written, ..records[0].clone() });
    }
    records
}

fn happening() -> impl Strategy<Value = (About, What)> {
    let of_attempt = (1..7_u128, 0..9_u32).prop_map(|(attempt, what)| {
        // Each belongs to one of three events.
        let what = match what {
            0..4 => What::intent(attempt, 7),
            4..8 => ended(attempt),
            _ => What::Withdrawn { attempt: AttemptId::from_draw(attempt) },
        };
        (about(attempt as i64 % 3), what)
    });
    let of_event = (0..3_i64, 0..3_u32).prop_map(|(offset, what)| match what {
        0 => (about(offset), What::Ended),
        cohort => (about(offset), What::Start { cohort }),
    });
    let of_all = any::<bool>().prop_map(|opened| match opened {
        true => (About::PARTITION, What::Opened),
        false => (About::PARTITION, What::Closed),
    });
    prop_oneof![9 => of_attempt, 2 => of_event, 1 => of_all]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000), ..ProptestConfig::default() })]

    /// However they are cut into batches. An attempt begins once, and ends once, after that.
    #[test]
    fn what_is_written_together_is_remembered_as_what_is_written_apart(happenings in prop::collection::vec(happening(), 1..40), together in 1..40_usize) {
        let mut seen = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        let sound: Vec<(About, What)> = happenings.into_iter().filter(|(_, what)| match what {
            What::Intent(intent) => !seen.1.contains(&intent.attempt) && seen.0.insert(intent.attempt),
            What::Outcome(Outcome { attempt: Some(attempt), .. }) => seen.1.insert(attempt.id),
            What::Withdrawn { attempt } => !seen.1.contains(attempt),
            _ => true,
        }).collect();
        let apart = sound.iter().flat_map(|one| told(std::slice::from_ref(one))).collect();
        let mut batch = Batch::new(1);
        let cut = sound.chunks(together).flat_map(|chunk| told_with(&mut batch, chunk)).collect();
        let ((together, _), (apart, _)) = (remembered(cut), remembered(apart));
        let said = |memory: &Memory| {
            let events = memory.events().map(|(offset, recalled)| {
                let mut attempts: Vec<_> = recalled.attempts().iter().map(|it| (it.id, it.outcome.to_string(), it.price_status)).collect();
                attempts.sort_unstable();
                (offset, recalled.deaths(), recalled.alone(), recalled.counts(), attempts)
            });
            (memory.closed(), events.collect::<Vec<_>>())
        };
        prop_assert_eq!(said(&together), said(&apart));
    }
}

/// What undoes a beginning stands behind it, what it does not undo stays behind it.
#[test]
fn a_beginning_stands_before_what_is_told_of_its_event_next() {
    let of = |what| (about(1), what);
    let whats = [of(What::intent(1, 7)), of(What::Ended), of(What::intent(2, 7)), of(What::Ended)];
    let (memory, said) = remembered(told(&whats));
    assert_eq!(said, whats.map(|(_, what)| format!("{what:?}")));
    assert_eq!(memory.counts(), (1, 0, 2));
}

#[test]
fn a_record_is_closed_before_it_is_too_long_and_a_long_answer_stands_in_parts() {
    let mut batch = Batch::new(1);
    for ordinal in 0..3 {
        let mut draft = Draft::new(None);
        draft.answer(
            &question(ordinal),
            &"x".repeat(if ordinal == 2 { INLINE } else { SHARED / 2 }),
        );
        let told = draft.told(about(1));
        assert_eq!(told.entries(), if ordinal == 2 { 3 } else { 1 }, "two parts and their outcome");
        batch.push(told);
    }
    let outputs = batch.records((&"g.journal".into(), 1), &input());
    let sizes: Vec<usize> = outputs.iter().map(|it| it.value.as_ref().unwrap().len()).collect();
    assert_eq!(sizes.len(), 4, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size < INLINE + 1_024), "{sizes:?}");
    assert_eq!(remembered(outputs).0.counts(), (1, 3, 0));
}

/// One bad value must not spoil what stands beside it.
#[test]
fn an_answer_without_a_form_is_left_out_whole() {
    struct Odd;
    impl Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut list = serializer.serialize_seq(None)?;
            serde::ser::SerializeSeq::serialize_element(&mut list, "the first half")?;
            Err(serde::ser::Error::custom("no more"))
        }
    }
    let What::Outcome(Outcome { attempt, .. }) = ended(1) else { unreachable!() };
    let mut batch = Batch::new(1);
    for attempt in [attempt.as_deref(), None] {
        let mut draft = Draft::new(attempt);
        draft.answer(&question(0), &Odd);
        batch.push(draft.told(about(1)));
    }
    let (memory, whats) = remembered(batch.records((&"g.journal".into(), 1), &input()));
    assert_eq!((whats.len(), memory.counts()), (2, (1, 0, 0)));
}
