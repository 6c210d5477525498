//! A world: a log by Kafka's rules in bad weather, instances that come and go, partitions that are taken away, records
//! that arrive meanwhile; then fair weather until everything has come to rest. What happens follows from the seed alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use vivremotion::app::groups::{Working, work};
use vivremotion::event::money::Money;
use vivremotion::flow::member::Bounds;
use vivremotion::flow::outage::Outages;
use vivremotion::flow::outbox::Limits;
use vivremotion::flow::workers::Workers;
use vivremotion::stream::memory::Memory;
use vivremotion::stream::{
    Guarantee, Log, OnCorruptProgress, Output, Progress, Record, StreamError, Topic,
    TopicPartition, header,
};

use super::checker::{self, Answer, Cost, Input, Place, Seen};
use super::draws::Draws;
use super::line::Bench;
use super::sky::{News, Sky};

const GROUP: &str = "vivremotion.test";
/// The seat of a dead member is kept so long.
const SESSION: Duration = Duration::from_secs(10);
/// Between two looks of the world at itself.
const LOOK: Duration = Duration::from_millis(250);
/// Everything comes to rest within this, by the held clock.
const REST: Duration = Duration::from_secs(900);

type Read = BTreeMap<(TopicPartition, i64), Fields>;

/// A process.
struct Instance {
    name: String,
    task: JoinHandle<Result<(), StreamError>>,
    stop: watch::Sender<bool>,
}

/// See the module.
struct World<'b> {
    bench: &'b Bench,
    log: Memory,
    news: Arc<News>,
    draws: Draws,
    working: Working,
    partitions: i32,
    /// Partitions that the journal gets in the next moments without anybody alive.
    growth: u64,
    alive: Vec<Instance>,
    /// Instances that will start, and when.
    coming: Vec<(Instant, String)>,
    inputs: Vec<Input>,
    before: BTreeMap<i32, Progress>,
    read: Read,
    wrong: Vec<String>,
    /// When calls may have been cut off: somebody died or stopped, something was taken.
    cuts: Vec<Duration>,
    began: Instant,
    /// What happened, in words.
    story: Vec<String>,
}

/// How a seed went.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// What is wrong.
    pub wrong: Vec<String>,
    /// What happened.
    pub story: Vec<String>,
    /// Everything that was published, digested: two runs of a seed have the same.
    pub digest: u32,
}

/// Runs a seed to its end, in a runtime of its own whose clock is held.
pub fn run(bench: &Bench, seed: u64) -> Ended {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async { World::new(bench, seed).await.live().await })
}

impl<'b> World<'b> {
    async fn new(bench: &'b Bench, seed: u64) -> World<'b> {
        let mut draws = Draws::new(seed, 0);
        bench.begin(seed, draws.pick(&[1, 5, 40]));
        let log = Memory::new(Arc::clone(&bench.clock));
        let partitions = draws.pick(&[1, 2, 3]);
        let topic = |name: &str, partitions, config: &[(&str, &str)]| Topic {
            name: name.into(),
            partitions,
            config: config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let topics = [
            topic("in", partitions, &[]),
            topic("out", partitions, &[("max.message.bytes", "6000")]),
            topic("in.test.dlq", partitions, &[]),
            topic("vivremotion.costs", partitions, &[]),
            // Inputs share its partitions, or have one each.
            topic("vivremotion.test.journal", 1 + (seed % partitions as u64) as i32, &[]),
        ];
        log.create(&topics).await.unwrap();
        let news = Arc::new(News::default());
        let latency = draws.pick(&[0, 5, 100]);
        log.weather(Some(Box::new(Sky {
            news: Arc::clone(&news),
            storm: draws.pick(&[4, 10, 40]),
            deadly: draws.pick(&[2, 5, 50]),
            names: draws.one_in(2),
            together: draws.pick(&[1, 3, 500]),
            latency: Duration::from_millis(latency),
            draws: Draws::new(seed, 2),
        })));
        let working = Working {
            instance: "".into(),
            guarantee: Guarantee::ExactlyOnce,
            on_corrupt_progress: OnCorruptProgress::Fail,
            // The deaths here are nobody's fault.
            crash_loop: 0,
            strict_intents: draws.one_in(3),
            bounds: Bounds {
                permits: draws.pick(&[2, 8, 100]),
                outbox: draws.pick(&[3_000, 1 << 20]),
                lane_depth: draws.pick(&[1, 4, 64]),
                drain: Duration::from_millis(draws.pick(&[100, 2_000, 20_000])),
                rested: if seed.is_multiple_of(2) { 0 } else { Bounds::default().rested },
                ..Bounds::default()
            },
            limits: Limits {
                interval: Duration::from_millis(draws.pick(&[0, 10, 100])),
                events: draws.pick(&[1, 4, 2_000]),
                bytes: draws.pick(&[4_000, 8 << 20]),
            },
            bounded: false,
        };
        World {
            bench,
            log,
            news,
            draws,
            working,
            partitions,
            growth: 2,
            alive: Vec::new(),
            coming: Vec::new(),
            inputs: Vec::new(),
            before: BTreeMap::new(),
            read: Read::new(),
            wrong: Vec::new(),
            cuts: Vec::new(),
            began: Instant::now(),
            story: Vec::new(),
        }
    }

    fn cut(&mut self) {
        self.cuts.push(self.began.elapsed());
    }

    /// Calls are cut off when the drain is over.
    fn cut_after_drain(&mut self) {
        self.cuts.push(self.began.elapsed() + self.working.bounds.drain);
    }

    async fn live(mut self) -> Ended {
        for number in 0..self.draws.pick(&[1, 1, 2, 3]) {
            self.start(&format!("i{number}"));
        }
        let events = self.draws.pick(&[4, 10, 20]);
        let keys = self.draws.pick(&[1, 3, 20]);
        let first = self.draws.below(events + 1);
        for _ in 0..first {
            self.send(keys).await;
        }
        let mut left = events - first;
        let faults_end = Instant::now() + Duration::from_secs(self.draws.pick(&[3, 10, 30]));
        let busy = self.draws.pick(&[4, 16, 64]);
        while Instant::now() < faults_end {
            self.wait().await;
            if left > 0 && self.draws.one_in(4) {
                left -= 1;
                self.send(keys).await;
            }
            if self.draws.one_in(busy) {
                self.fault();
            }
        }
        for _ in 0..left {
            self.send(keys).await;
        }
        *self.news.calm.lock().unwrap() = true;
        self.tell("fair weather");
        let rest = Instant::now() + REST;
        while !self.is_at_rest() {
            if Instant::now() > rest || !self.wrong.is_empty() {
                break;
            }
            self.wait().await;
            if self.alive.is_empty() && self.coming.is_empty() {
                self.start("i0");
            }
        }
        self.finish().await
    }

    async fn finish(mut self) -> Ended {
        for instance in &self.alive {
            instance.stop.send_replace(true);
        }
        for instance in std::mem::take(&mut self.alive) {
            let ended = tokio::time::timeout(Duration::from_secs(60), instance.task).await;
            match ended {
                Ok(ended) => self.ended(&instance.name, ended),
                Err(_) => self.wrong.push(format!("{} did not stop", instance.name)),
            }
        }
        let seen = self.seen();
        if self.log.records("out").len() != seen.answers.len() {
            self.wrong.push("results stay hidden".to_owned());
        }
        self.wrong.extend(checker::check_at_rest(&seen));
        self.wrong.extend(self.log.defects());
        self.wrong.extend(checker::paid_once(&seen));
        let published = format!("{:?}{:?}{:?}", seen.answers, seen.letters, seen.costs);
        let digest = crc32c::crc32c(published.as_bytes());
        self.wrong.dedup();
        Ended { wrong: self.wrong, story: self.story, digest }
    }

    fn tell(&mut self, what: &str) {
        let at = (self.bench.clock.now() - crate::support::driver::START) as f64 / 1e3;
        self.story.push(format!("{at:9.3} s  {what}"));
    }

    // ---- what the source holds ----

    async fn send(&mut self, keys: u64) {
        let n = self.inputs.len() as u64;
        let kind = self
            .draws
            .pick(&["good", "good", "good", "slow", "slow", "flaky", "bad", "big", "poison"]);
        let key = (!self.draws.one_in(5)).then(|| format!("k{}", self.draws.below(keys)));
        let place = match &key {
            Some(_) => None,
            None => Some(self.draws.below(self.partitions as u64) as i32),
        };
        if self.draws.one_in(8) {
            let partition = self.draws.below(self.partitions as u64) as i32;
            self.log.skip(&at(partition), 1 + self.draws.below(3) as i64);
        }
        let value = match kind {
            "poison" => "{".to_owned(),
            kind => json!({ "kind": kind, "n": n }).to_string(),
        };
        let output = Output {
            topic: "in".into(),
            partition: place,
            key: key.clone().map(Into::into),
            value: Some(value.into()),
            headers: Vec::new(),
            timestamp: None,
        };
        let ends = |log: &Memory| log.ends("in");
        let before = ends(&self.log);
        self.log.send(vec![output]).await.unwrap();
        let after = ends(&self.log);
        let partition = (0..).zip(before.iter().zip(&after)).find(|(_, (b, a))| b != a).unwrap().0;
        let fails = match kind {
            "bad" | "big" => Some(true),
            "flaky" => None,
            _ => Some(false),
        };
        self.inputs.push(Input {
            place: (partition, after[partition as usize] - 1),
            key,
            decodable: kind != "poison",
            fails,
        });
    }

    // ---- who comes and goes ----

    fn start(&mut self, name: &str) {
        // Of an input of which nothing was committed it is not known which partition tells.
        let progress = self.progress();
        let told = |partition| progress.get(&partition).is_some_and(|p| p.sequence > 0);
        if self.growth > 0 && self.alive.is_empty() && (0..self.partitions).all(told) {
            self.growth -= 1;
            self.log.grow("vivremotion.test.journal");
            self.tell("the journal gets one more partition");
        }
        self.tell(&format!("{name} starts"));
        let (stop, stopped) = watch::channel(false);
        let log: Arc<dyn Log> = Arc::new(self.log.clone());
        let working = Working { instance: name.into(), ..self.working.clone() };
        let (line, clock) = (Arc::clone(&self.bench.line), Arc::clone(&self.bench.clock));
        // A book of its own, as a process has: who waits to join holds up nobody else.
        let outages = Outages::default();
        let task = tokio::spawn(async move {
            let workers = Arc::new(Workers::here());
            work(&log, vec![line], &working, &clock, &outages, &workers, stopped).await
        });
        self.alive.push(Instance { name: name.to_owned(), task, stop });
    }

    /// A process dies: nothing is finished, nothing is told.
    fn kill(&mut self, name: &str) {
        // Its clone with it: the name does not say which of them made the call.
        let (dying, alive): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.alive).into_iter().partition(|i| i.name == name);
        self.alive = alive;
        dying.iter().for_each(|instance| instance.task.abort());
        let pause = self.draws.pick(&[0, 100, 3_000, 15_000]);
        let back = Instant::now() + self.draws.up_to(Duration::from_millis(pause));
        self.coming.push((back, name.to_owned()));
        self.tell(&format!("{name} dies"));
        self.cut();
    }

    fn ended(
        &mut self,
        name: &str,
        ended: Result<Result<(), StreamError>, tokio::task::JoinError>,
    ) {
        let said = match ended {
            Ok(Ok(())) => "when asked".to_owned(),
            Ok(Err(error)) => error.message,
            Err(error) if error.is_panic() => {
                self.wrong.push(format!("{name} panicked"));
                "in panic".to_owned()
            }
            Err(_) => return,
        };
        for defect in ["has ended", "moved back"] {
            if said.contains(defect) {
                self.wrong.push(format!("{name} left: {said}"));
            }
        }
        self.tell(&format!("{name} leaves: {said}"));
        self.cut();
    }

    // ---- what happens ----

    fn fault(&mut self) {
        let partition = at(self.draws.below(self.partitions as u64) as i32);
        let someone = match self.alive.len() as u64 {
            0 => return,
            alive => self.alive[self.draws.below(alive) as usize].name.clone(),
        };
        match self.draws.below(8) {
            0 | 1 => self.kill(&someone),
            2 | 3 => {
                self.tell(&format!("{partition} is revoked"));
                self.log.revoke(&partition);
                self.cut_after_drain();
            }
            4 => {
                self.tell(&format!("{partition} is lost"));
                self.log.lose(&partition);
                self.cut();
            }
            5 => {
                self.tell(&format!("the session of {someone} ends"));
                self.log.expire(&someone);
                self.cut();
            }
            6 => {
                // A clone, or one more.
                let name = if self.draws.one_in(3) {
                    someone
                } else {
                    format!("i{}", self.draws.below(4))
                };
                let clones = self.alive.iter().filter(|instance| instance.name == name).count();
                if clones < 2 {
                    self.start(&name);
                }
            }
            _ => {
                self.tell(&format!("{someone} is asked to stop"));
                if let Some(instance) = self.alive.iter().find(|i| i.name == someone) {
                    instance.stop.send_replace(true);
                }
                // It may leave much later, when it has settled what its last commit came to.
                self.cut_after_drain();
            }
        }
    }

    /// Lets a moment pass, or less if somebody dies in it; then looks who ended and whether all is well.
    async fn wait(&mut self) {
        let died = tokio::time::timeout(LOOK, self.news.died.notified()).await.is_ok();
        let dead = std::mem::take(&mut *self.news.dead.lock().unwrap());
        for name in dead {
            self.kill(&name);
        }
        for index in (0..self.alive.len()).rev() {
            if self.alive[index].task.is_finished() {
                let instance = self.alive.remove(index);
                let ended = instance.task.await;
                self.ended(&instance.name, ended);
            }
        }
        if died {
            return self.look();
        }
        self.log.pass_time(SESSION);
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.coming).into_iter().partition(|(at, _)| *at <= now);
        self.coming = later;
        for (_, name) in due {
            if !self.alive.iter().any(|instance| instance.name == name) {
                self.start(&name);
            }
        }
        if self.draws.one_in(16) {
            self.look();
        }
    }

    fn look(&mut self) {
        let seen = self.seen();
        for wrong in checker::check(&seen) {
            self.tell(&wrong);
            self.wrong.push(wrong);
        }
        self.before = seen.progress;
    }

    fn is_at_rest(&self) -> bool {
        let progress = self.progress();
        let behind = (0..self.partitions).any(|partition| {
            progress.get(&partition).map_or(0, |progress| progress.base) < self.last(partition)
        });
        !behind && self.log.is_quiet() && self.coming.is_empty()
    }

    /// One past the last record of a partition.
    fn last(&self, partition: i32) -> i64 {
        let offsets = self.inputs.iter().filter(|input| input.place.0 == partition);
        offsets.map(|input| input.place.1 + 1).max().unwrap_or(0)
    }

    fn progress(&self) -> BTreeMap<i32, Progress> {
        let all = self.log.progress(GROUP).into_iter();
        all.map(|(at, progress)| (at.partition, progress)).collect()
    }

    fn seen(&mut self) -> Seen {
        let answers = self.log.written("out");
        let costs = self.log.written("vivremotion.costs");
        let read = &mut self.read;
        Seen {
            inputs: self.inputs.clone(),
            answers: answers.iter().map(|record| answer(record, fields(read, record))).collect(),
            letters: self.log.written("in.test.dlq").iter().map(origin).collect(),
            costs: costs.iter().map(|record| cost(record, fields(read, record))).collect(),
            ledger: self.bench.ledger(),
            cuts: self.cuts.clone(),
            progress: self.progress(),
            before: self.before.clone(),
        }
    }
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition { topic: "in".into(), partition }
}

/// `cluster/topic/partition/offset/time`, as every output says.
fn origin(record: &Record) -> Place {
    let text = header(&record.headers, "vivremotion.origin").unwrap();
    let mut parts = std::str::from_utf8(text).unwrap().split('/').skip(2);
    let mut part = || parts.next().unwrap().parse::<i64>().unwrap();
    (part() as i32, part())
}

/// What is read of results and cost events.
#[derive(Clone, Debug, Deserialize)]
struct Fields {
    id: String,
    status: Option<String>,
    amount: Option<String>,
    price_status: Option<String>,
    adjusts: Option<String>,
}

/// Each record is read once: in an unoptimised build that is most of the work.
fn fields<'r>(read: &'r mut Read, record: &Record) -> &'r Fields {
    let place = (record.at.clone(), record.offset);
    read.entry(place)
        .or_insert_with(|| serde_json::from_slice(record.value.as_ref().unwrap()).unwrap())
}

fn amount(fields: &Fields) -> Money {
    fields.amount.as_ref().map_or(Money::ZERO, |text| text.parse().unwrap())
}

fn answer(record: &Record, fields: &Fields) -> Answer {
    let failed = fields.status.as_deref() == Some("failed");
    Answer { origin: origin(record), failed, amount: amount(fields) }
}

fn cost(record: &Record, fields: &Fields) -> Cost {
    Cost {
        id: fields.id.clone(),
        origin: origin(record),
        amount: amount(fields),
        settled: fields.price_status.as_deref() != Some("unsettled"),
        adjusts: fields.adjusts.clone(),
    }
}
