//! Who looks on while faults happen: a reader of committed results and one of all, the group's committed progress, and how
//! long open transactions hold readers up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::checker::{Mark, Sighting};
use crate::clients::{Isolation, as_seen, from_beginning, partitions, reader};
use crate::time;

/// Between two looks at progress.
const LOOK: Duration = Duration::from_millis(250);
/// A request of a watcher; during faults it may go unanswered.
const ASK: Duration = Duration::from_secs(5);

/// What was seen so far; everything stops when it is dropped.
pub struct Watch {
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
}

/// What was seen.
pub struct Looks {
    /// Committed results in the order they were seen, with the partition of their events.
    pub live: Vec<(Sighting, i32)>,
    /// All results, those that were aborted too, in the order they were seen.
    pub dirty: Vec<Sighting>,
    /// Progress, in order.
    pub marks: Vec<Mark>,
    /// The longest that an open transaction held readers up, in milliseconds.
    pub held_up: i64,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    results: AtomicUsize,
    letters: AtomicUsize,
    /// Committed results: where they lie, and the partition of their event.
    live: Mutex<Vec<(Sighting, i32)>>,
    /// All of them, wherever their transactions ended.
    dirty: Mutex<Vec<Sighting>>,
    /// By partition of the source, the last event with a result.
    highest: Mutex<BTreeMap<i32, i64>>,
    marks: Mutex<Vec<Mark>>,
    held_up: Mutex<i64>,
}

/// What to look at.
pub struct Scene {
    /// `host:port`.
    pub brokers: String,
    /// The topic of events.
    pub source: String,
    /// The topic of results.
    pub sink: String,
    /// The topic of dead letters.
    pub letters: String,
    /// The pipeline's group.
    pub group: String,
}

impl Watch {
    /// Begins.
    pub fn start(scene: &Scene) -> Watch {
        let state = Arc::new(State::default());
        let mut threads = Vec::new();
        let mut begin = |name: &str, body: Box<dyn FnOnce(&State) + Send>| {
            let state = Arc::clone(&state);
            let thread = std::thread::Builder::new().name(name.to_owned());
            threads.push(thread.spawn(move || body(&state)).unwrap());
        };
        let (consumer, _) = from_beginning(&scene.brokers, &scene.sink, Isolation::Committed);
        begin("results", Box::new(move |state| results(state, &consumer)));
        let (consumer, _) = from_beginning(&scene.brokers, &scene.sink, Isolation::Uncommitted);
        begin("all-results", Box::new(move |state| everything(state, &consumer)));
        let (consumer, _) = from_beginning(&scene.brokers, &scene.letters, Isolation::Committed);
        begin("letters", Box::new(move |state| letters(state, &consumer)));
        let (brokers, group) = (scene.brokers.clone(), scene.group.clone());
        let source = scene.source.clone();
        begin("progress", Box::new(move |state| progress(state, &brokers, &group, &source)));
        let (brokers, sink) = (scene.brokers.clone(), scene.sink.clone());
        begin("held-up", Box::new(move |state| held_up(state, &brokers, &sink)));
        Watch { state, threads }
    }

    /// Committed results seen.
    pub fn results(&self) -> usize {
        self.state.results.load(Ordering::SeqCst)
    }

    /// Results seen, those included that may be aborted.
    pub fn dirty(&self) -> usize {
        self.state.dirty.lock().unwrap().len()
    }

    /// Committed dead letters seen.
    pub fn letters(&self) -> usize {
        self.state.letters.load(Ordering::SeqCst)
    }

    /// What was committed last, by partition of the source.
    pub fn bases(&self) -> BTreeMap<i32, i64> {
        let marks = self.state.marks.lock().unwrap();
        marks.iter().map(|mark| (mark.partition, mark.base)).collect()
    }

    /// The most that lies between a committed base and the last result committed behind it, told by what was seen: the
    /// offset of the result's event.
    pub fn widest(&self) -> i64 {
        let bases = self.bases();
        let highest = self.state.highest.lock().unwrap();
        let span = |(partition, high): (&i32, &i64)| high - bases.get(partition).unwrap_or(&0);
        highest.iter().map(span).max().unwrap_or(0)
    }

    /// Ends, and hands over what was seen.
    pub fn end(mut self) -> Looks {
        self.stop();
        Looks {
            live: std::mem::take(&mut *self.state.live.lock().unwrap()),
            dirty: std::mem::take(&mut *self.state.dirty.lock().unwrap()),
            marks: std::mem::take(&mut *self.state.marks.lock().unwrap()),
            held_up: *self.state.held_up.lock().unwrap(),
        }
    }

    fn stop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
        self.state.stop.store(true, Ordering::SeqCst);
    }
}

impl State {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }
}

fn results(state: &State, consumer: &BaseConsumer) {
    while state.goes_on() {
        let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let seen = as_seen(&record);
        let value: serde_json::Value = serde_json::from_slice(&seen.value).unwrap_or_default();
        let number = |name: &str| value["origin"][name].as_i64().unwrap_or(-1);
        let partition = i32::try_from(number("partition")).unwrap_or(-1);
        state.live.lock().unwrap().push((seen.sighting(), partition));
        let mut highest = state.highest.lock().unwrap();
        let last = highest.entry(partition).or_default();
        *last = (*last).max(number("offset"));
        drop(highest);
        state.results.fetch_add(1, Ordering::SeqCst);
    }
}

fn everything(state: &State, consumer: &BaseConsumer) {
    while state.goes_on() {
        let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) else { continue };
        state.dirty.lock().unwrap().push(as_seen(&record).sighting());
    }
}

fn letters(state: &State, consumer: &BaseConsumer) {
    while state.goes_on() {
        if let Some(Ok(_)) = consumer.poll(Duration::from_millis(100)) {
            state.letters.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn progress(state: &State, brokers: &str, group: &str, source: &str) {
    // Offsets of an open transaction are not shown, so nothing need be waited for.
    let consumer: BaseConsumer = reader(brokers, group, Isolation::Uncommitted).create().unwrap();
    let mut asked = TopicPartitionList::new();
    for partition in partitions(&consumer, source) {
        asked.add_partition(source, partition);
    }
    let mut last: BTreeMap<i32, (i64, usize)> = BTreeMap::new();
    // Once more after the end, for what was committed last.
    let mut again = true;
    while std::mem::replace(&mut again, state.goes_on()) {
        time::pause(LOOK);
        let Ok(found) = consumer.committed_offsets(asked.clone(), ASK) else { continue };
        for one in found.elements() {
            let Some(base) = one.offset().to_raw().filter(|base| *base >= 0) else { continue };
            let metadata = one.metadata().len();
            if last.insert(one.partition(), (base, metadata)) != Some((base, metadata)) {
                let mark = Mark { partition: one.partition(), base, metadata };
                state.marks.lock().unwrap().push(mark);
            }
        }
    }
}

fn held_up(state: &State, brokers: &str, sink: &str) {
    let open =
        |isolation| -> BaseConsumer { reader(brokers, "watch", isolation).create().unwrap() };
    let (committed, all) = (open(Isolation::Committed), open(Isolation::Uncommitted));
    let partitions = partitions(&all, sink);
    // Since when readers wait at which offset.
    let mut since: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
    while state.goes_on() {
        for partition in &partitions {
            let ends = all
                .fetch_watermarks(sink, *partition, ASK)
                .and_then(|all| Ok((all.1, committed.fetch_watermarks(sink, *partition, ASK)?.1)));
            let Ok((high, stable)) = ends else {
                // Nobody can be read from: nobody is held up by a transaction.
                since.remove(partition);
                continue;
            };
            let now = time::now();
            let waiting = since.get(partition).filter(|(at, _)| *at == stable).map(|(_, t)| *t);
            if stable < high {
                let began = waiting.unwrap_or(now);
                since.insert(*partition, (stable, began));
                let mut longest = state.held_up.lock().unwrap();
                *longest = (*longest).max(now - began);
            } else {
                since.remove(partition);
            }
        }
        time::pause(2 * LOOK);
    }
}
