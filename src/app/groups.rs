//! Runs the members of every group of a process until it is asked to stop.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::connect::PAUSES;
use crate::base::clock::Clock;
use crate::flow::Line;
use crate::flow::gate::Gate;
use crate::flow::member::{Bounds, Left, Member, Parts};
use crate::flow::notebook::Keeping;
use crate::flow::observe::Observed;
use crate::flow::outage::Outages;
use crate::flow::outbox::Limits;
use crate::flow::workers::Workers;
use crate::journal::Writer;
use crate::stream::{
    From, Guarantee, Log, Membership, OnCorruptProgress, StreamError, StreamErrorKind,
    TopicPartition, rest,
};

/// Beyond its drain a member that leaves since another one failed has this long for its last commit.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);

/// How members work.
#[derive(Clone, Debug)]
pub struct Working {
    /// Name of this instance.
    pub instance: Arc<str>,
    /// Transactional or not.
    pub guarantee: Guarantee,
    /// What to do about an unreadable progress record.
    pub on_corrupt_progress: OnCorruptProgress,
    /// Deaths of an event that runs alone before it is dead-lettered; 0 = never.
    pub crash_loop: usize,
    /// Whether a request waits until the journal has its intent.
    pub strict_intents: bool,
    /// Bounds of each member.
    pub bounds: Bounds,
    /// When to commit.
    pub limits: Limits,
    /// Leave at the end as it is now.
    pub bounded: bool,
}

/// Joins every group and works until `stop` says so, until the end of a bounded run, or until one member can't go on:
/// then all leave.
pub async fn work(
    log: &Arc<dyn Log>,
    lines: Vec<Arc<Line>>,
    working: &Working,
    clock: &Arc<dyn Clock>,
    outages: &Outages,
    workers: &Arc<Workers>,
    stop: watch::Receiver<bool>,
) -> Result<(), StreamError> {
    let mut groups: BTreeMap<Arc<str>, Vec<Arc<Line>>> = BTreeMap::new();
    for line in lines {
        groups.entry(Arc::clone(&line.emitter.plan.group)).or_default().push(line);
    }
    // One member that can't go on ends the others too: half a set of pipelines is not what was asked for.
    let (fail, failed) = watch::channel(false);
    let gate = Gate::default();
    // Whoever drops this ends them too.
    let mut members = JoinSet::new();
    let mut outcome = Ok(());
    for (group, lines) in groups {
        let (mut stop, mut failed, fail) = (stop.clone(), failed.clone(), fail.clone());
        let joined = member(log, (&group, lines), working, clock, outages, workers, &gate);
        let joined = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            _ = failed.wait_for(|failed| *failed) => break,
            joined = joined => joined,
        };
        let member = match joined {
            Ok(member) => member,
            Err(error) => {
                fail.send_replace(true);
                outcome = Err(error);
                break;
            }
        };
        let asked = async move {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                _ = failed.wait_for(|failed| *failed) => {}
            }
        };
        let work = async move {
            let outcome: Result<Left, StreamError> = member.work(asked).await;
            if outcome.is_err() {
                fail.send_replace(true);
            }
            outcome
        };
        members.spawn_on(work, workers.pick());
    }
    let mut leave_by = None;
    loop {
        if outcome.is_err() && leave_by.is_none() {
            leave_by = Some(Instant::now() + working.bounds.drain + LEAVE_WITHIN);
        }
        let ended = match leave_by {
            None => members.join_next().await,
            // Those that are not gone by then end with the set.
            Some(by) => timeout_at(by, members.join_next()).await.unwrap_or_default(),
        };
        let Some(ended) = ended else { return outcome };
        let ended = ended.unwrap_or_else(|error| {
            let message = format!("a member of a group ended: {error}");
            fail.send_replace(true);
            Err(StreamError { kind: StreamErrorKind::Fatal, message })
        });
        outcome = outcome.and(ended.map(|_| ()));
    }
}

/// A member that has joined. It answered at the start, but a log may be away again by now: that is waited for.
async fn member(
    log: &Arc<dyn Log>,
    (group, lines): (&Arc<str>, Vec<Arc<Line>>),
    working: &Working,
    clock: &Arc<dyn Clock>,
    outages: &Outages,
    workers: &Arc<Workers>,
    gate: &Gate,
) -> Result<Member, StreamError> {
    let mut patience = outages.patience();
    loop {
        match join(log, (group, lines.clone()), working, clock, outages, workers, gate).await {
            Err(error) if error.kind == StreamErrorKind::Unavailable => {
                patience.turn(&log.name().into(), &error, &PAUSES, clock.draw() as u64).await;
            }
            done => {
                patience.answered();
                return done;
            }
        }
    }
}

async fn join(
    log: &Arc<dyn Log>,
    (group, lines): (&Arc<str>, Vec<Arc<Line>>),
    working: &Working,
    clock: &Arc<dyn Clock>,
    outages: &Outages,
    workers: &Arc<Workers>,
    gate: &Gate,
) -> Result<Member, StreamError> {
    let sources: Vec<(Arc<str>, From)> = lines
        .iter()
        .map(|line| (Arc::clone(&line.emitter.plan.source.topic), line.emitter.plan.source.from))
        .collect();
    let until = match working.bounded {
        true => Some(ends(log, &sources).await?),
        false => None,
    };
    let (reader, writer) = log
        .join(Membership {
            group: Arc::clone(group),
            instance: Arc::clone(&working.instance),
            topics: sources,
            guarantee: working.guarantee,
            on_corrupt_progress: working.on_corrupt_progress,
        })
        .await?;
    // A run of its own for each member: a writer that was dropped takes its last records along.
    let journal = |line: &Line| Some((line.emitter.plan.journal.clone()?, line.journal_partitions));
    let keeping = match lines.iter().find_map(|line| journal(line)) {
        None => None,
        Some((topic, known)) => {
            let partitions = match known {
                0 => i32::try_from(log.extents(&topic).await?.len()).unwrap_or(i32::MAX),
                known => known,
            };
            if partitions == 0 {
                let message = format!("the call journal `{topic}` is not there");
                return Err(StreamError { kind: StreamErrorKind::UnknownTopic, message });
            }
            let run = clock.draw() as u64;
            Some(Keeping {
                writer: Arc::new(Writer::start(Arc::clone(log), topic, partitions, run)),
                strict: working.strict_intents,
                crash_loop: working.crash_loop,
            })
        }
    };
    let lines = lines
        .into_iter()
        .map(|line| (Arc::clone(&line.emitter.plan.source.topic), line))
        .collect::<HashMap<_, _>>();
    Ok(Member::new(Parts {
        reader,
        writer,
        lines,
        workers: Arc::clone(workers),
        bounds: working.bounds,
        limits: working.limits,
        clock: Arc::clone(clock),
        outages: outages.clone(),
        watch: Arc::new(Observed::new(Arc::clone(group))),
        keeping,
        gate: gate.clone(),
        until,
    }))
}

/// One past the last record that a reader will be given, by partition. The log's own end may lie behind it, where the
/// marks of transactions stand, and a member would wait for them for ever; so the topic is read through once.
async fn ends(
    log: &Arc<dyn Log>,
    sources: &[(Arc<str>, From)],
) -> Result<HashMap<TopicPartition, i64>, StreamError> {
    let mut ends = HashMap::new();
    for (topic, from) in sources {
        for extent in log.extents(topic).await? {
            ends.insert(extent.at, 0);
        }
        let mut follower = log.follow(topic, *from).await?;
        while let Some(records) = rest(&mut *follower, topic).await? {
            for record in records {
                ends.insert(record.at, record.offset + 1);
            }
        }
    }
    Ok(ends)
}
