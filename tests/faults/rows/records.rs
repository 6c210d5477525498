//! F16, F17, F20, F21: records, progress and outputs that are not as usual.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::checker::{Kind, Sent};
use crate::clients::{Isolation, Transactions, reader};
use crate::job::{Plan, value};
use crate::play::{Play, Stage};
use crate::report::Outcome;
use crate::services::until;
use crate::time;

/// F16: every second transaction of the sender is aborted, and the beginning of a partition is deleted under a base
/// that was committed there.
pub fn gaps(stage: &Stage) -> Outcome {
    let events = stage.events(1_000, 10_000);
    let mut plan = Plan::new(events, 10.0);
    plan.poison = false;
    let brokers = stage.brokers();
    let mut play = Play::prepare(stage, "F16", plan, &brokers, &brokers);
    play.faults = "every second transaction of the sender aborted, beginnings deleted".to_owned();
    let sender = Transactions::new(&brokers, &play.job.scene.source);
    let mut sent = Vec::new();
    let half = events as u64 / 2;
    sent.extend(sender.send(0..half, |n| bytes(n, &play.job.plan)));
    play.fleet.start_all();
    if !play.results(sent.len(), Duration::from_secs(120)) {
        play.wrong.push(format!("{} of {} results came", play.watch.results(), sent.len()));
    }
    play.lost();
    // Nobody reads while the beginning of what comes next is deleted: what was committed lies below what is kept.
    for index in 0..play.fleet.len() {
        if let Err(reason) = play.fleet.drain(index, Duration::from_secs(60)) {
            play.wrong.push(reason);
        }
    }
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
    let mut plan = Plan::new(events, stage.pick(10.0, 60.0));
    plan.instances = 1;
    // Nothing is cancelled at the end of a drain: what is done above a base would be run again where the map is emptied.
    plan.latency = "20ms..100ms";
    let mut play = Play::start(stage, "F17", plan);
    play.faults = "metadata of two partitions overwritten, of one emptied".to_owned();
    // What is sent while it stands still comes to the same.
    play.enough();
    if !play.results(events / 3, Duration::from_secs(120)) {
        play.wrong.push("no third of the results came".to_owned());
    }
    // What is open is finished, so that nothing above the bases is done: whoever empties the map loses what it says. A
    // call that takes longer than the drain is cancelled.
    play.lost();
    if let Err(reason) = play.fleet.drain(0, Duration::from_secs(60)) {
        play.wrong.push(reason);
    }
    let operator: BaseConsumer =
        reader(&play.job.brokers, &play.job.scene.group, Isolation::Committed).create().unwrap();
    let source = play.job.scene.source.clone();
    let before = committed(&operator, &source, play.job.plan.partitions);
    let mut list = TopicPartitionList::new();
    let foreign = [(0, "vm.damaged"), (1, "written by another program"), (2, "")];
    for (partition, text) in foreign {
        let mut element = list.add_partition(&source, partition);
        let (base, _) = before.get(&partition).cloned().unwrap_or_default();
        element.set_offset(Offset::Offset(base)).unwrap();
        element.set_metadata(text);
    }
    overwrite(&operator, &list);
    play.fleet.start(0, None);
    let told = until(Duration::from_secs(60), || {
        let said = play.fleet.said();
        let named = |partition: i32| said.contains(&format!("progress of `{source}/{partition}`"));
        if named(0) || named(1) { Ok(()) } else { Err("no partition was named".to_owned()) }
    });
    if let Err(reason) = told {
        play.wrong.push(reason);
    }
    time::pause(Duration::from_secs(3));
    let now = committed(&operator, &source, play.job.plan.partitions);
    for partition in [0, 1] {
        if now.get(&partition).map(|(base, _)| base) != before.get(&partition).map(|(base, _)| base)
        {
            play.wrong.push(format!("partition {partition} went on"));
        }
    }
    // The operator decides: what is above the bases is run again. What was done there is restored first, as it was.
    let mut list = TopicPartitionList::new();
    for partition in [0, 1] {
        let (base, text) = before.get(&partition).cloned().unwrap_or_default();
        let mut element = list.add_partition(&source, partition);
        element.set_offset(Offset::Offset(base)).unwrap();
        element.set_metadata(text);
    }
    drop(play.fleet.drain(0, Duration::from_secs(60)));
    overwrite(&operator, &list);
    play.fleet.start(0, None);
    play.end()
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

/// F20: bytes that are no event, null, large ones, ten thousand headers, and events that kill the process that runs them.
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
