//! The mock server's own account of every call, kept apart from anything the engine says.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::Notify;

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    /// Which call of the server, from 1.
    pub ordinal: u64,
    /// Which call with this very request, from 1.
    pub repeat: u32,
    /// `chat` or `embeddings`.
    pub operation: &'static str,
    /// Model asked.
    pub model: String,
    /// Start, milliseconds since the epoch.
    pub start: i64,
    /// End; none while it is open.
    pub end: Option<i64>,
    /// Calls open when it began, itself included.
    pub open: u64,
    /// HTTP status sent; none when the caller went away before.
    pub status: Option<u16>,
    /// Whether a whole and right answer was handed to the connection.
    pub delivered: bool,
    /// Tokens of the prompt, those from the cache included.
    pub prompt_tokens: u64,
    /// Those from the cache.
    pub cached_tokens: u64,
    /// Tokens of the answer, reasoning included.
    pub completion_tokens: u64,
    /// Those of reasoning.
    pub reasoning_tokens: u64,
    /// Digest of the request's body.
    pub digest: String,
    /// Texts of all messages, or texts to embed, joined by line breaks.
    pub prompt: String,
    /// Header of that name.
    pub idempotency_key: Option<String>,
    /// Header of that name.
    pub traceparent: Option<String>,
}

/// Sums over all calls, also those no longer in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Calls begun.
    pub calls: u64,
    /// Calls open now.
    pub open: u64,
    /// Most calls open at once.
    pub most_open: u64,
    /// Calls whose whole answer was handed over.
    pub delivered: u64,
    /// Tokens of prompts of delivered calls.
    pub prompt_tokens: u64,
    /// Of these, those from the cache.
    pub cached_tokens: u64,
    /// Tokens of answers of delivered calls.
    pub completion_tokens: u64,
    /// Of these, those of reasoning.
    pub reasoning_tokens: u64,
    /// Ended calls that are no longer in memory.
    pub forgotten: u64,
}

/// See the module. Clones share one account.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Account>);

#[derive(Debug)]
struct Account {
    state: Mutex<State>,
    /// A call began or ended.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    sums: Summary,
    open: HashMap<u64, Entry>,
    ended: VecDeque<Entry>,
    /// How often each request came; bounded as the entries are.
    seen: HashMap<String, u32>,
    keep: usize,
    file: Option<File>,
}

/// An open call; dropped, it ends as not delivered.
#[derive(Debug)]
pub struct Line {
    ledger: Ledger,
    ordinal: u64,
    now: fn() -> i64,
    ended: bool,
}

/// What is known of a call at its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ending {
    /// HTTP status sent.
    pub status: Option<u16>,
    /// See [`Entry::delivered`].
    pub delivered: bool,
}

impl Ledger {
    /// An empty one.
    pub fn new(keep: usize, file: Option<&Path>) -> std::io::Result<Self> {
        let append = |path| File::options().create(true).append(true).open(path);
        let file = file.map(append).transpose()?;
        let state = Mutex::new(State {
            sums: Summary::default(),
            open: HashMap::new(),
            ended: VecDeque::new(),
            seen: HashMap::new(),
            keep,
            file,
        });
        Ok(Ledger(Arc::new(Account { state, changed: Notify::new() })))
    }

    /// Resolves as soon as the sums are so.
    pub async fn until(&self, ready: impl Fn(&Summary) -> bool) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            if ready(&self.summary()) {
                return;
            }
            changed.await;
        }
    }

    /// A call begins; its ordinals are filled in here.
    pub(super) fn begin(&self, mut entry: Entry, now: fn() -> i64) -> Line {
        let mut state = self.lock();
        state.sums.calls += 1;
        state.sums.open += 1;
        state.sums.most_open = state.sums.most_open.max(state.sums.open);
        if state.seen.len() >= state.keep.max(1) && !state.seen.contains_key(&entry.digest) {
            state.seen.clear();
        }
        let seen = state.seen.entry(entry.digest.clone()).or_insert(0);
        *seen += 1;
        entry.repeat = *seen;
        entry.ordinal = state.sums.calls;
        entry.open = state.sums.open;
        entry.start = now();
        let ordinal = entry.ordinal;
        state.open.insert(ordinal, entry);
        drop(state);
        self.0.changed.notify_waiters();
        Line { ledger: self.clone(), ordinal, now, ended: false }
    }

    /// The sums.
    pub fn summary(&self) -> Summary {
        self.lock().sums.clone()
    }

    /// All calls in memory, by their start; open ones have no end.
    pub fn entries(&self) -> Vec<Entry> {
        let state = self.lock();
        let mut all: Vec<Entry> = state.ended.iter().chain(state.open.values()).cloned().collect();
        drop(state);
        all.sort_by_key(|entry| entry.ordinal);
        all
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Which call of the server it is.
    pub(super) fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Takes down what the answer says it used.
    pub(super) fn used(&self, fill: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.ledger.lock().open.get_mut(&self.ordinal) {
            fill(entry);
        }
    }

    /// The call ends.
    pub(super) fn end(mut self, ending: Ending) {
        self.close(ending);
    }

    fn close(&mut self, ending: Ending) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.ledger.lock().close(self.ordinal, (self.now)(), ending);
        self.ledger.0.changed.notify_waiters();
    }
}

impl State {
    fn close(&mut self, ordinal: u64, now: i64, ending: Ending) {
        let Some(mut entry) = self.open.remove(&ordinal) else { return };
        entry.end = Some(now);
        entry.status = ending.status;
        entry.delivered = ending.delivered;
        self.sums.open -= 1;
        if ending.delivered {
            self.sums.delivered += 1;
            self.sums.prompt_tokens += entry.prompt_tokens;
            self.sums.cached_tokens += entry.cached_tokens;
            self.sums.completion_tokens += entry.completion_tokens;
            self.sums.reasoning_tokens += entry.reasoning_tokens;
        }
        if let Some(file) = &mut self.file
            && let Ok(mut line) = serde_json::to_vec(&entry)
        {
            line.push(b'\n');
            if let Err(error) = file.write_all(&line) {
                tracing::warn!(%error, "a call could not be written to the ledger file");
                self.file = None;
            }
        }
        self.ended.push_back(entry);
        if self.ended.len() > self.keep {
            self.ended.pop_front();
            self.sums.forgotten += 1;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.close(Ending::default());
    }
}
