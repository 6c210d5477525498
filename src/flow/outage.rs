//! What is down, who waits for it, and whose turn it is to ask again.
//!
//! An outage pauses the intake of the pipelines whose events wait for it, and of no other: a pipeline that does not use
//! the service, or recovers from its absence, goes on. Of all that wait for a service *one* asks at a time, with pauses
//! that grow; the others go on when it has been answered. So a provider that comes back is not met by ten thousand
//! callers that each knock for themselves.
//!
//! A budget that is spent is waited for in the same book, but there is nobody to be spared: each looks for itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::base::halt::Halt;
use crate::base::retry::Backoff;
use crate::telemetry::{gauge, names};

/// Between two looks, while another one asks, whether this one has stopped caring.
const LOOK: Duration = Duration::from_secs(5);

/// Why something is down: one sentence, without what an event holds.
type Why<'a> = &'a (dyn fmt::Display + Sync);

/// The book of a process, as one part of it sees it: what the handle of a pipeline waits for pauses that pipeline, what
/// the engine's own handle waits for pauses all.
#[derive(Clone, Debug)]
pub struct Outages {
    book: Arc<Book>,
    who: Option<Arc<str>>,
}

#[derive(Debug)]
struct Book {
    down: Mutex<BTreeMap<Arc<str>, Down>>,
    count: Gauge,
}

impl Default for Outages {
    fn default() -> Self {
        let count = gauge(names::OUTAGES, &[]);
        count.set(0.0);
        Outages { book: Arc::new(Book { down: Mutex::default(), count }), who: None }
    }
}

/// A service that is down.
#[derive(Debug)]
struct Down {
    why: String,
    /// How many wait, by pipeline; none is the engine itself.
    waiting: BTreeMap<Option<Arc<str>>, usize>,
    /// Questions without an answer, whoever asked.
    failures: u32,
    /// One permit: the turn to ask. Closed when the service has answered.
    turn: Arc<Semaphore>,
}

/// A line of the book, for `/ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What is down.
    pub service: Arc<str>,
    /// One sentence.
    pub why: String,
    /// Pipelines that wait for it; empty when it is the engine itself.
    pub pipelines: Vec<Arc<str>>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waiting for {}", self.service)?;
        if !self.pipelines.is_empty() {
            write!(f, ", which pauses {}", self.pipelines.join(", "))?;
        }
        write!(f, ": {}", self.why)
    }
}

impl Outages {
    /// The same book, for one pipeline.
    pub fn of(&self, pipeline: &Arc<str>) -> Outages {
        Outages { book: Arc::clone(&self.book), who: Some(Arc::clone(pipeline)) }
    }

    /// The same book, for what concerns every pipeline.
    pub fn everybody(&self) -> Outages {
        Outages { book: Arc::clone(&self.book), who: None }
    }

    /// For one attempt after another at something that may be down.
    pub fn patience(&self) -> Patience {
        Patience { outages: self.clone(), place: None }
    }

    /// Whether intake of a pipeline is paused.
    pub fn pauses(&self, pipeline: &Arc<str>) -> bool {
        let book = self.lock();
        book.values().any(|down| {
            down.waiting.keys().any(|who| who.as_ref().is_none_or(|who| who == pipeline))
        })
    }

    /// Whether anybody waits for anything.
    pub fn any(&self) -> bool {
        !self.lock().is_empty()
    }

    /// What is down.
    pub fn list(&self) -> Vec<Entry> {
        let book = self.lock();
        let entry = |(service, down): (&Arc<str>, &Down)| Entry {
            service: Arc::clone(service),
            why: down.why.clone(),
            pipelines: down.waiting.keys().flatten().cloned().collect(),
        };
        book.iter().map(entry).collect()
    }

    /// Takes a place among those who wait. The first tells.
    fn enter(&self, service: &Arc<str>, why: Why<'_>) -> Place {
        let mut book = self.lock();
        let down = book.entry(Arc::clone(service)).or_insert_with(|| {
            tracing::warn!(%service, reason = %why, "down: what needs it waits until it answers");
            Down {
                why: why.to_string(),
                waiting: BTreeMap::new(),
                failures: 0,
                turn: Arc::new(Semaphore::new(1)),
            }
        });
        *down.waiting.entry(self.who.clone()).or_insert(0) += 1;
        let turn = Arc::clone(&down.turn);
        self.count(&book);
        Place { outages: self.clone(), service: Arc::clone(service), turn, held: None }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Down>> {
        self.book.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, book: &BTreeMap<Arc<str>, Down>) {
        self.book.count.set(book.len() as f64);
    }
}

/// A place among those who wait for a service; given up when dropped, the turn with it.
#[derive(Debug)]
struct Place {
    outages: Outages,
    service: Arc<str>,
    turn: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Runs `with` on the outage this place belongs to, unless that is over.
    fn still<T>(&self, with: impl FnOnce(&mut Down) -> T) -> Option<T> {
        let mut book = self.outages.lock();
        let down = book.get_mut(&self.service).filter(|down| Arc::ptr_eq(&down.turn, &self.turn));
        down.map(with)
    }

    /// Ends the outage: all who wait go on.
    fn over(&self) {
        let mut book = self.outages.lock();
        if book.get(&self.service).is_some_and(|down| Arc::ptr_eq(&down.turn, &self.turn)) {
            book.remove(&self.service);
            self.outages.count(&book);
            tracing::info!(service = %self.service, "answers again");
        }
        self.turn.close();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut book = self.outages.lock();
        let Some(down) = book.get_mut(&self.service) else { return };
        if !Arc::ptr_eq(&down.turn, &self.turn) {
            return;
        }
        if let Some(count) = down.waiting.get_mut(&self.outages.who) {
            *count -= 1;
            if *count == 0 {
                down.waiting.remove(&self.outages.who);
            }
        }
        if down.waiting.is_empty() {
            book.remove(&self.service);
            self.outages.count(&book);
        }
    }
}

/// Whoever makes attempts at something that may be down, and holds a place while it is.
#[derive(Debug)]
pub struct Patience {
    outages: Outages,
    place: Option<Place>,
}

impl Patience {
    /// The service is down. Returns when it may be asked again: because it is this one's turn, after a pause, or because
    /// another one was answered. Also when `halt` is set: then nothing is to be asked.
    pub async fn turn_unless(
        &mut self,
        halt: &Halt,
        service: &Arc<str>,
        why: Why<'_>,
        pauses: &Backoff,
        draw: u64,
    ) {
        let place = self.place(service, why);
        while place.held.is_none() {
            if halt.is_set() {
                return;
            }
            match timeout(LOOK, Arc::clone(&place.turn).acquire_owned()).await {
                Ok(Ok(permit)) => place.held = Some(permit),
                // Another one was answered.
                Ok(Err(_closed)) => return,
                Err(_elapsed) => {}
            }
        }
        let failures = place.still(|down| {
            down.failures = down.failures.saturating_add(1);
            down.failures
        });
        sleep(pauses.wait(failures.unwrap_or(1), draw, None)).await;
    }

    /// The same for whoever never stops caring.
    pub async fn turn(&mut self, service: &Arc<str>, why: Why<'_>, pauses: &Backoff, draw: u64) {
        self.turn_unless(&Halt::default(), service, why, pauses, draw).await;
    }

    /// A limit of this pipeline is reached: the pipeline waits, this one looks again after a pause.
    pub async fn pause(&mut self, limit: &str, why: Why<'_>, pause: Duration) {
        let outages = self.outages.clone();
        let of = outages.who.as_deref().unwrap_or("the engine");
        self.spent(&outages, format!("budget `{limit}` of {of}").into(), why);
        sleep(pause).await;
    }

    /// A limit of the whole engine is reached: every pipeline waits.
    pub async fn pause_everybody(&mut self, limit: &str, why: Why<'_>, pause: Duration) {
        self.spent(&self.outages.everybody(), format!("budget `{limit}`").into(), why);
        sleep(pause).await;
    }

    fn spent(&mut self, outages: &Outages, limit: Arc<str>, why: Why<'_>) {
        if self.place.as_ref().is_none_or(|place| place.service != limit) {
            // A service whose turn this was has not been asked: the turn goes on to the next.
            self.place = Some(outages.enter(&limit, why));
        }
    }

    /// What was waited for has answered, well or not.
    pub fn answered(&mut self) {
        // Who was let through because another one was answered has nothing to end.
        if let Some(place) = self.place.take().filter(|place| place.held.is_some()) {
            place.over();
        }
    }

    /// The place for that service: the one held, if it is still worth something. Who now waits for another service was
    /// answered by the first.
    fn place(&mut self, service: &Arc<str>, why: Why<'_>) -> &mut Place {
        if self.place.as_ref().is_some_and(|place| place.service != *service) {
            self.answered();
        }
        let worth = self.place.take().filter(|place| !place.turn.is_closed());
        let place = worth.unwrap_or_else(|| self.outages.enter(service, why));
        self.place.insert(place)
    }
}

#[cfg(test)]
mod tests;
