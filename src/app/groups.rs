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

/// Beyond its drain a member that leaves since another one failed has this long for its last commit, and for leaving.
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
    let shared = Shared { log, working, clock, outages, workers, gate: Gate::default() };
    // Whoever drops this ends them too.
    let mut members = JoinSet::new();
    let mut outcome = Ok(());
    for (group, lines) in groups {
        let (mut stop, mut failed, fail) = (stop.clone(), failed.clone(), fail.clone());
        let joined = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            _ = failed.wait_for(|failed| *failed) => break,
            joined = shared.member(&group, lines) => joined,
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
            let mut alarm = Alarm { fail, silent: false };
            let outcome: Result<Left, StreamError> = member.work(asked).await;
            alarm.silent = outcome.is_ok();
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
            Err(StreamError { kind: StreamErrorKind::Fatal, message })
        });
        outcome = outcome.and(ended.map(|_| ()));
    }
}

/// Tells the others when a member can't go on, also when it ends in panic.
struct Alarm {
    fail: watch::Sender<bool>,
    silent: bool,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if !self.silent {
            self.fail.send_replace(true);
        }
    }
}

/// What the members of a process have in common.
struct Shared<'a> {
    log: &'a Arc<dyn Log>,
    working: &'a Working,
    clock: &'a Arc<dyn Clock>,
    outages: &'a Outages,
    workers: &'a Arc<Workers>,
    gate: Gate,
}

impl Shared<'_> {
    /// A member that has joined. The log answered at the start, but may be away again by now: that is waited for, while the
    /// groups that have joined go on if they can.
    async fn member(&self, group: &Arc<str>, lines: Vec<Arc<Line>>) -> Result<Member, StreamError> {
        let sources: Vec<(Arc<str>, From)> = lines
            .iter()
            .map(|line| {
                (Arc::clone(&line.emitter.plan.source.topic), line.emitter.plan.source.from)
            })
            .collect();
        let until = match self.working.bounded {
            true => Some(ends(self.log, &sources).await?),
            false => None,
        };
        // Any pipeline of the group stands for all: none of them takes anything in yet.
        let first = lines.first().map(|line| &line.emitter.plan.name);
        let mut patience =
            first.map_or(self.outages.clone(), |name| self.outages.of(name)).patience();
        let service = self.log.name().into();
        // As `connect::patiently` does, whose closure that borrows would keep this from running on any thread.
        loop {
            match self.join(group, lines.clone(), sources.clone(), until.clone()).await {
                Err(error) if error.kind == StreamErrorKind::Unavailable => {
                    patience.turn(&service, &error, &PAUSES, self.clock.draw() as u64).await;
                }
                done => {
                    patience.answered();
                    return done;
                }
            }
        }
    }

    async fn join(
        &self,
        group: &Arc<str>,
        lines: Vec<Arc<Line>>,
        topics: Vec<(Arc<str>, From)>,
        until: Option<HashMap<TopicPartition, i64>>,
    ) -> Result<Member, StreamError> {
        let Shared { log, working, clock, .. } = *self;
        let (reader, writer) = log
            .join(Membership {
                group: Arc::clone(group),
                instance: Arc::clone(&working.instance),
                topics,
                guarantee: working.guarantee,
                on_corrupt_progress: working.on_corrupt_progress,
            })
            .await?;
        // A run of its own for each member: a writer that was dropped takes its last records along.
        let journal =
            |line: &Line| Some((line.emitter.plan.journal.clone()?, line.journal_partitions));
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
            workers: Arc::clone(self.workers),
            bounds: working.bounds,
            limits: working.limits,
            clock: Arc::clone(clock),
            outages: self.outages.clone(),
            watch: Arc::new(Observed::new(Arc::clone(group))),
            keeping,
            gate: self.gate.clone(),
            until,
        }))
    }
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
