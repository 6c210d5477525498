use bytes::Bytes;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::batch::{Batch, Told};
use super::entry::{About, Answer, Entry, Outcome, Place, What};
use super::memory::Memory;
use super::pages::Range;
use super::record::{apart, read};
use crate::event::ids::{AttemptId, Digest, EventId};
use crate::event::money::Money;
use crate::stream::{Output, Record, TopicPartition};

fn event(offset: i64) -> EventId {
    EventId::new("c", "in", 3, offset, 0)
}

fn entry(offset: i64, run: u64, what: What) -> Entry {
    let place = Place { topic: "in".into(), partition: 3, offset: Some(offset) };
    Entry { place, event: Some(event(offset)), run, what }
}

fn opened(run: u64) -> Entry {
    Entry { what: What::Opened, ..closed(run) }
}

fn closed(run: u64) -> Entry {
    let place = Place { topic: "in".into(), partition: 3, offset: None };
    Entry { place, event: None, run, what: What::Closed }
}

fn intent(attempt: u128) -> What {
    What::intent(attempt, 7)
}

fn answer(ordinal: u32, asked: &str, value: &str) -> What {
    let value = RawValue::from_string(serde_json::to_string(value).unwrap()).unwrap();
    What::Outcome(Outcome {
        attempt: None,
        answer: Some(Answer {
            stage: "answer".into(),
            item: None,
            operation: "chat",
            ordinal,
            digest: Digest::of(&[asked.as_bytes()]),
            value: Some(value.into()),
            parts: None,
        }),
    })
}

fn record(key: Option<Vec<u8>>, value: Option<Vec<u8>>) -> Record {
    Record {
        at: TopicPartition { topic: "g.journal".into(), partition: HOME },
        offset: 0,
        timestamp: 0,
        key: key.map(Bytes::from),
        value: value.map(Bytes::from),
        headers: Vec::new(),
    }
}

/// The partition of the journal that tells of the input.
const HOME: i32 = 1;

fn input() -> TopicPartition {
    TopicPartition { topic: "in".into(), partition: 3 }
}

fn written(entry: Entry) -> Vec<Record> {
    together([entry]).into_iter().map(read_back).collect()
}

/// Told by one run.
fn together(entries: impl IntoIterator<Item = Entry>) -> Vec<Output> {
    let mut entries = entries.into_iter().peekable();
    let mut batch = Batch::new(entries.peek().unwrap().run);
    for Entry { place, event, what, .. } in entries {
        batch.push(Told::new(About { offset: place.offset, event }, what));
    }
    batch.records((&"g.journal".into(), HOME), &input())
}

fn read_back(output: Output) -> Record {
    assert_eq!((&*output.topic, output.partition), ("g.journal", Some(HOME)));
    record(output.key.map(Vec::from), output.value.map(Vec::from))
}

fn take(memory: &mut Memory, record: &Record, done: impl Fn(i64) -> bool) {
    read(record).unwrap().into_iter().for_each(|entry| memory.take(entry, &done));
}

/// Through the records, as a restart reads them.
fn memory(entries: impl IntoIterator<Item = Entry>) -> Memory {
    let mut memory = Memory::default();
    for record in entries.into_iter().flat_map(written) {
        take(&mut memory, &record, |offset| offset < 10);
    }
    memory
}

#[test]
fn an_answer_is_found_by_its_place_and_its_question() {
    let mut memory = memory([entry(12, 1, answer(0, "q", "a"))]);
    let recalled = memory.recall(12).unwrap();
    let find = |ordinal, asked: &str| {
        let digest = Digest::of(&[asked.as_bytes()]);
        recalled.answer(&"answer".into(), None, "chat", ordinal, digest).map(|v| v.get().to_owned())
    };
    assert_eq!(find(0, "q").as_deref(), Some("\"a\""));
    assert_eq!(find(0, "another"), None);
    assert_eq!(find(1, "q"), None);
    assert!(memory.recall(12).is_none());
}

#[test]
fn what_is_committed_needs_no_memory() {
    let memory = memory([entry(9, 1, intent(1)), entry(11, 1, intent(2))]);
    assert_eq!(memory.counts(), (1, 0, 1));
}

#[test]
fn a_request_without_an_outcome_is_a_charge_of_its_ceiling() {
    let mut memory = memory([
        entry(12, 1, intent(1)),
        entry(12, 1, intent(2)),
        entry(12, 1, What::Withdrawn { attempt: AttemptId::from_draw(2) }),
    ]);
    let attempts = memory.recall(12).unwrap().attempts();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].id, AttemptId::from_draw(1));
    assert_eq!(attempts[0].amount, Some(Money(7)));
    assert_eq!(attempts[0].price_status, "unsettled");
}

#[test]
fn a_long_answer_comes_back_whole_also_when_its_parts_were_sent_twice() {
    let text: String =
        (0..500_000_u32).map(|n| char::from_u32(0x20 + n % 0x2000).unwrap_or('é')).collect();
    let mut records = written(entry(12, 1, answer(0, "q", &text)));
    assert!(records.len() > 2, "{}", records.len());
    let longest = records.iter().map(|record| record.value.as_ref().unwrap().len()).max().unwrap();
    assert!(longest < 1_000_000, "{longest}");
    let parts = records.len() - 1;
    records.splice(1..1, records[..1].to_vec());
    let again: Vec<Record> = records[..=parts].to_vec();
    records.splice(0..0, again);
    let mut memory = Memory::default();
    records.iter().for_each(|record| take(&mut memory, record, |_| false));
    let recalled = memory.recall(12).unwrap();
    let value = recalled.answer(&"answer".into(), None, "chat", 0, Digest::of(&[b"q"])).unwrap();
    assert_eq!(serde_json::from_str::<String>(value.get()).unwrap(), text);
}

#[test]
fn a_process_that_gave_up_in_order_has_killed_nobody() {
    let start = |cohort| What::Start { cohort };
    let mut memory = memory([
        entry(12, 1, intent(1)),
        entry(13, 1, start(0)),
        entry(12, 2, start(1)),
        entry(13, 2, start(1)),
        closed(2),
        entry(12, 3, start(1)),
        entry(13, 4, start(1)),
        entry(13, 4, What::Ended),
    ]);
    assert!(!memory.closed());
    let (first, second) = (memory.recall(12).unwrap(), memory.recall(13).unwrap());
    assert_eq!((first.deaths(), first.alone()), (2, 1));
    assert_eq!((second.deaths(), second.alone()), (1, 0));
}

#[test]
fn a_partition_that_was_opened_again_is_not_closed() {
    assert!(memory([entry(12, 1, intent(1)), closed(1)]).closed());
    assert!(!memory([closed(1), opened(2)]).closed());
    assert!(memory([closed(1), opened(2), closed(2)]).closed());
}

#[test]
fn what_an_operator_has_set_back_is_not_billed_again() {
    let mut memory = Memory::of_answers();
    for what in [intent(1), answer(0, "q", "a")] {
        memory.take(entry(12, 1, what), |_| false);
    }
    let recalled = memory.recall(12).unwrap();
    assert!(recalled.attempts().is_empty());
    assert_eq!((recalled.deaths(), recalled.counts().0), (0, 1));
}

#[test]
fn another_event_at_the_same_offset_is_another_event() {
    let mut other = entry(12, 2, intent(2));
    other.event = Some(EventId::new("c", "in", 3, 12, 99));
    let mut memory = memory([entry(12, 1, intent(1)), other]);
    let recalled = memory.recall(12).unwrap();
    assert_eq!(recalled.event, EventId::new("c", "in", 3, 12, 99));
    assert_eq!(recalled.attempts().len(), 1);
}

/// Records that version 1 wrote: they must be readable for ever. Add lines for later versions, never change one.
#[test]
fn records_of_every_version_so_far_are_readable() {
    let known = r#"{"v":1,"run":"00000000000000ff","entries":[
        {"at":12,"event":"00000000-0000-4000-8000-000000000001","what":{"intent":{"attempt":"00000000-0000-4000-8000-000000000002","stage":"s","operation":"chat","provider":"p","account":"p","model":"m","ceiling":"0.5","started_at":1}}},
        {"at":12,"event":"00000000-0000-4000-8000-000000000001","what":{"outcome":{"answer":{"stage":"s","item":2,"operation":"call","ordinal":0,"digest":"00000000-0000-4000-8000-000000000003","value":{"status":200,"body":null}}}}},
        {"at":13,"event":"00000000-0000-4000-8000-000000000001","what":{"start":{"cohort":1}}},
        {"what":"closed"}]}"#;
    let entries = read(&record(Some("in/3".into()), Some(known.into()))).unwrap();
    let offsets = entries.iter().map(|entry| (entry.run, entry.place.offset));
    let expected = [(255, Some(12)), (255, Some(12)), (255, Some(13)), (255, None)];
    assert_eq!(offsets.collect::<Vec<_>>(), expected);
}

#[test]
fn entries_that_are_written_together_share_a_record_and_can_be_taken_apart() {
    let shared = together([entry(12, 1, intent(1)), entry(13, 1, What::Ended), closed(1)]);
    assert_eq!(shared.len(), 1);
    let alone = apart(&shared[0]).unwrap();
    assert_eq!(alone.len(), 3);
    assert!(apart(&alone[0]).is_none());
    let said = |outputs: Vec<Output>| {
        let entries = outputs.into_iter().flat_map(|output| read(&read_back(output)).unwrap());
        entries.map(|entry| format!("{entry:?}")).collect::<Vec<_>>()
    };
    assert_eq!(said(alone), said(shared));
}

#[test]
fn a_beginning_is_left_out_beside_its_end_and_the_event_has_begun_all_the_same() {
    let ended = |attempt: u128| {
        let mut recalled = memory([entry(12, 1, intent(attempt))]);
        let attempt = recalled.recall(12).unwrap().attempts().remove(0);
        What::Outcome(Outcome { attempt: Some(Box::new(attempt)), answer: None })
    };
    let told = [entry(12, 1, intent(1)), entry(12, 1, intent(2)), entry(12, 1, ended(2))];
    let shared = read_back(together(told).remove(0));
    assert_eq!(read(&shared).unwrap().len(), 2);
    let mut memory = Memory::default();
    take(&mut memory, &shared, |_| false);
    assert_eq!(memory.counts(), (1, 0, 1));
    let recalled = memory.recall(12).unwrap();
    assert_eq!((recalled.attempts().len(), recalled.deaths()), (2, 1));
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let said =
        |key: &str, value: &str| read(&record(Some(key.into()), Some(value.into()))).unwrap_err();
    for key in ["in", "/3", "in/-3", "in/3/4", "in/"] {
        assert!(said(key, "{}").contains("its key"), "{key}");
    }
    assert!(said("in/3", "{}").contains("not JSON of ours"));
    assert!(said("in/3", r#"{"v":9}"#).contains("version 9"));
    let odd = r#"{"v":1,"run":"1","entries":[{"what":{"intent":{"operation":"dance"}}}]}"#;
    assert!(said("in/3", odd).contains("a field is wrong"));
}

#[test]
fn a_range_reads_what_it_writes_and_nothing_else() {
    let range = Range { partition: 3, from: 7, until: 90 };
    assert_eq!(range.to_string().parse(), Ok(range));
    for wrong in ["", "3", "3/7", "3/7-", "3/90-7", "-1/7-90", "3/-7-90", "a/b-c"] {
        assert!(wrong.parse::<Range>().is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1_000), ..ProptestConfig::default() })]

    #[test]
    fn any_record_is_read_or_refused(key in any::<Option<Vec<u8>>>(), value in any::<Option<Vec<u8>>>()) {
        prop_assert!(read(&record(key, value)).is_err());
    }
}
