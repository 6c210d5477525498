//! F16, F17, F20, F21: records, progress and outputs that are not as usual.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::checker::{Kind, Sent};
use crate::clients::{Isolation, Transactions, reader};
use crate::job::{Plan, value};
use crate::play::{Play, Stage};
use crate::report::Outcome;
use crate::services::until;

/// F16: what lies there first was compacted, every second transaction of the sender is aborted, and the beginning of a
/// partition is deleted under a base that was committed there.
pub fn gaps(stage: &Stage) -> Outcome {
    let events = stage.events(1_000, 10_000);
    let mut plan = Plan::new(events, 10.0);
    plan.poison = false;
    let brokers = stage.brokers();
    let mut play = Play::prepare(stage, "F16", plan, &brokers, &brokers);
    play.faults =
        "compacted, every second transaction of the sender aborted, beginnings deleted".to_owned();
    let sender = Transactions::new(&brokers, &play.job.scene.source);
    let mut sent = Vec::new();
    let (third, half) = (events as u64 / 3, 2 * events as u64 / 3);
    let whole = sender.send(0..third, |n| bytes(n, &play.job.plan));
    let before = whole.len();
    sent.extend(sender.compact(whole));
    play.notes.push(format!("{} of {before} events compacted away", before - sent.len()));
    sent.extend(sender.send(third..half, |n| bytes(n, &play.job.plan)));
    play.fleet.start_all();
    if !play.results(sent.len(), Duration::from_secs(120)) {
        play.wrong.push(format!("{} of {} results came", play.watch.results(), sent.len()));
    }
    // Nobody reads while the beginning of what comes next is deleted: what was committed lies below what is kept.
    play.drain();
    let more = sender.send(half..events as u64, |n| bytes(n, &play.job.plan));
    let deleted = sender.delete_beginnings(&more);
    let kept = |one: &Sent| deleted.get(&one.at.0).is_none_or(|before| one.at.1 >= *before);
    let gone = more.iter().filter(|one| !kept(one)).count();
    sent.extend(more.into_iter().filter(kept));
    play.notes.push(format!("{gone} events deleted before they were read"));
    play.fleet.start_all();
    play.sent(sent);
    play.end()
}

/// F17: somebody writes other metadata at a committed offset. The engine stops and names the partition; it goes on when
/// the operator has restored what was there.
pub fn metadata(stage: &Stage) -> Outcome {
    let events = stage.events(1_000, 10_000);
    let mut plan = Plan::new(events / 3, stage.pick(5.0, 20.0));
    plan.instances = 1;
    plan.latency = "20ms..100ms";
    let mut play = Play::start(stage, "F17", plan);
    play.faults =
        "metadata of two partitions overwritten, of one emptied, of one as an older version wrote it"
            .to_owned();
    // All of these are done, so that nothing above the bases is: whoever empties the map loses what it says.
    let sent = play.settle();
    let operator: BaseConsumer =
        reader(&play.job.brokers, &play.job.scene.group, Isolation::Committed).create().unwrap();
    let source = play.job.scene.source.clone();
    let before = committed(&operator, &source, play.job.plan.partitions);
    let mut list = TopicPartitionList::new();
    let base = |partition: i32| before.get(&partition).map_or(0, |(base, _)| *base);
    let old = first_version(base(3));
    let foreign = [(0, "vm.damaged"), (1, "written by another program"), (2, ""), (3, &old)];
    for (partition, text) in foreign {
        let mut element = list.add_partition(&source, partition);
        let base = base(partition);
        element.set_offset(Offset::Offset(base)).unwrap();
        element.set_metadata(text);
    }
    overwrite(&operator, &list);
    play.feed_rest(stage.seed + 1, events, sent);
    play.fleet.start(0, None);
    let told = until(Duration::from_secs(60), || {
        let said = play.fleet.said();
        let named = |partition: i32| said.contains(&format!("progress of `{source}/{partition}`"));
        let now = committed(&operator, &source, play.job.plan.partitions);
        let went_on = |partition: i32| now.get(&partition).is_some_and(|it| it.0 > base(partition));
        match (0..2).all(named) && went_on(2) && went_on(3) {
            true => Ok(()),
            false => Err("partitions 0 and 1 were not named, or 2 and 3 did not go on".to_owned()),
        }
    });
    if let Err(reason) = told {
        play.wrong.push(reason);
    }
    let now = committed(&operator, &source, play.job.plan.partitions);
    for partition in [0, 1] {
        if now.get(&partition).map(|(base, _)| *base) != Some(base(partition)) {
            play.wrong.push(format!("partition {partition} went on"));
        }
    }
    // The operator decides: of one partition what was there is restored, of the other what is above the base may be run
    // again. (Nothing there is done.)
    drop(play.fleet.drain(0, Duration::from_secs(60)));
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(&source, 0);
    element.set_offset(Offset::Offset(base(0))).unwrap();
    element.set_metadata(before.get(&0).map_or("", |(_, text)| text));
    overwrite(&operator, &list);
    play.job.plan.engine = "drain: 10s, crash_loop: 0, on_corrupt_progress: replay";
    let settings = play.job.settings(0, &play.job.brokers);
    let replaying = play.fleet.add(&settings);
    play.fleet.alias(replaying, 0);
    play.fleet.start(replaying, None);
    play.end()
}

/// Progress as the first version wrote it, of a partition with nothing done above `base`: version, kind, a nonce of eight
/// bytes, sequence, span, offset of the journal, checksum of the base and all of it.
fn first_version(base: i64) -> String {
    let raw = [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0];
    let sum = crc32c::crc32c_append(crc32c::crc32c(&base.to_be_bytes()), &raw);
    format!("vm.{}", URL_SAFE_NO_PAD.encode([&raw[..], &sum.to_be_bytes()].concat()))
}

/// Commits as an operator does: when the group is empty, and a static member's seat stays warm for a session.
fn overwrite(operator: &BaseConsumer, list: &TopicPartitionList) {
    let done = until(Duration::from_secs(60), || {
        operator.commit(list, CommitMode::Sync).map_err(|error| error.to_string())
    });
    done.unwrap();
}

fn committed(
    operator: &BaseConsumer,
    topic: &str,
    partitions: i32,
) -> BTreeMap<i32, (i64, String)> {
    let mut asked = TopicPartitionList::new();
    for partition in 0..partitions {
        asked.add_partition(topic, partition);
    }
    let found = operator.committed_offsets(asked, Duration::from_secs(30)).unwrap();
    let base = |offset: Offset| offset.to_raw().filter(|base| *base >= 0);
    found
        .elements()
        .iter()
        .filter_map(|one| Some((one.partition(), (base(one.offset())?, one.metadata().to_owned()))))
        .collect()
}

/// F20: bytes that are no event, or Avro, null, five megabytes, ten thousand headers, and events that kill the process that runs them.
pub fn poison(stage: &Stage) -> Outcome {
    let events = stage.events(1_000, 10_000);
    let killers = stage.pick(2, 10);
    let mut plan = Plan::new(events, stage.pick(15.0, 60.0));
    plan.engine = "drain: 10s, crash_loop: 3";
    plan.instances = 2;
    plan.killers = killers;
    plan.odd = true;
    let brokers = stage.brokers();
    let mut play = Play::prepare(stage, "F20", plan, &brokers, &brokers);
    play.faults = format!("{killers} events that end the process, and odd records");
    play.fleet.arm_always("stage.run?kill-me=abort");
    play.fleet.start_all();
    play.balanced();
    play.feed(stage.seed);
    let mut outcome = play.end();
    // One that nobody expected, one that was told, one in a cohort, three alone.
    let expected = usize::try_from(killers).unwrap_or(0) * 6;
    if outcome.deaths < expected / 2 || outcome.deaths > expected * 2 {
        outcome.finding(format!("{} deaths, about {expected} were expected", outcome.deaths));
    }
    outcome
}

/// F21: a model whose answer is larger than the topic of the results takes. Only that event fails.
pub fn oversized(stage: &Stage) -> Outcome {
    let events = stage.events(1_000, 10_000);
    let mut plan = Plan::new(events, stage.pick(10.0, 60.0));
    // The script that holds their answers may have a MiB.
    plan.oversized = stage.pick(3, 8);
    let mut play = Play::start(stage, "F21", plan);
    play.faults = format!("{} results too large for their topic", play.job.plan.oversized);
    play.enough();
    play.end()
}

/// The value of an event, for a sender of its own.
fn bytes(n: u64, plan: &Plan) -> (Kind, Vec<u8>) {
    (plan.kind(n), value(n, plan.kind(n)))
}
