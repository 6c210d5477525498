//! Reading as records come: a thread with a connection of its own, that looks when this process has written and else
//! polls `data_version`, which tells of other processes' commits for two microseconds.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::records;
use crate::base::sqlite::SqliteError;
use crate::stream::{Record, TopicPartition};

/// Pause between two looks while records come, and the longest one when none do.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(10));
/// Records of one topic and bytes of all in one answer.
const RECORDS: usize = 256;
const BYTES: usize = 4 << 20;

/// Where to read on.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub at: TopicPartition,
    pub topic: i64,
    pub from: i64,
}

/// What a request brings: records, in offset order within each topic, never none.
pub(super) type Answer = oneshot::Receiver<Result<Vec<Record>, SqliteError>>;

struct Request {
    wanted: Vec<Wanted>,
    reply: oneshot::Sender<Result<Vec<Record>, SqliteError>>,
}

#[derive(Default)]
struct Slot {
    request: Option<Request>,
    woken: bool,
    closed: bool,
}

#[derive(Default)]
struct Mailbox {
    slot: Mutex<Slot>,
    changed: Condvar,
}

impl Mailbox {
    fn change(&self, change: impl FnOnce(&mut Slot)) {
        change(&mut self.slot.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Waits for a request; none when the cursor is gone.
    fn request(&self) -> Option<Request> {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |slot: &mut Slot| slot.request.is_none() && !slot.closed;
        let mut slot = self.changed.wait_while(slot, idle).unwrap_or_else(PoisonError::into_inner);
        match slot.closed {
            true => None,
            false => slot.request.take(),
        }
    }

    /// Waits for news, at most so long. Whether there are any; none when this request is over.
    fn news(&self, within: Duration) -> Option<bool> {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |slot: &mut Slot| !slot.woken && slot.request.is_none() && !slot.closed;
        let (mut slot, _) = self
            .changed
            .wait_timeout_while(slot, within, quiet)
            .unwrap_or_else(PoisonError::into_inner);
        let over = slot.closed || slot.request.is_some();
        (!over).then(|| std::mem::take(&mut slot.woken))
    }
}

/// Tells the cursors of this process that something was written.
#[derive(Clone, Default)]
pub(super) struct Bell(Arc<Mutex<Vec<Weak<Mailbox>>>>);

impl Bell {
    fn add(&self, mailbox: &Arc<Mailbox>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(mailbox));
    }

    /// Something was written.
    pub fn ring(&self) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for mailbox in all.iter().filter_map(Weak::upgrade) {
            mailbox.change(|slot| slot.woken = true);
        }
    }
}

/// See the module.
pub(super) struct Cursor {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Cursor {
    /// Starts the thread.
    pub fn start(path: PathBuf, connection: Connection, bell: &Bell) -> std::io::Result<Cursor> {
        let mailbox = Arc::<Mailbox>::default();
        bell.add(&mailbox);
        let (end, ended) = oneshot::channel();
        let theirs = mailbox.clone();
        let thread =
            std::thread::Builder::new().name("log-cursor".to_owned()).spawn(move || {
                run(&path, &connection, &theirs);
                drop(connection);
                drop(end);
            })?;
        Ok(Cursor { mailbox, thread: Some(thread), ended: Some(ended) })
    }

    /// Asks for records; an answer that is still owed from an earlier request will not come.
    pub fn ask(&self, wanted: Vec<Wanted>) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.mailbox.change(|slot| slot.request = Some(Request { wanted, reply }));
        answer
    }

    /// Ends the thread and waits until it has.
    pub async fn close(&mut self) {
        self.mailbox.change(|slot| slot.closed = true);
        if let Some(ended) = self.ended.take() {
            // The other end is dropped, never sent.
            drop(ended.await);
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.mailbox.change(|slot| slot.closed = true);
    }
}

fn run(path: &std::path::Path, connection: &Connection, mailbox: &Mailbox) {
    while let Some(Request { wanted, reply }) = mailbox.request() {
        match look(connection, mailbox, &wanted) {
            Ok(None) => {}
            Ok(Some(records)) => drop(reply.send(Ok(records))),
            Err(error) => drop(reply.send(Err(SqliteError::new(path, &error)))),
        }
    }
}

/// Looks until there is something, or the request is over.
fn look(
    connection: &Connection,
    mailbox: &Mailbox,
    wanted: &[Wanted],
) -> rusqlite::Result<Option<Vec<Record>>> {
    let mut version = None;
    let mut pause = PAUSE.0;
    loop {
        // Asked before the look: what is committed in between changes it again.
        let now = data_version(connection)?;
        if version != Some(now) {
            version = Some(now);
            let records = fetch(connection, wanted)?;
            if !records.is_empty() {
                return Ok(Some(records));
            }
        }
        match mailbox.news(pause) {
            None => return Ok(None),
            Some(true) => pause = PAUSE.0,
            Some(false) => pause = (pause * 2).min(PAUSE.1),
        }
    }
}

fn fetch(connection: &Connection, wanted: &[Wanted]) -> rusqlite::Result<Vec<Record>> {
    let mut found: Vec<Record> = Vec::new();
    let share = (BYTES / wanted.len().max(1)).max(1);
    for Wanted { at, topic, from } in wanted {
        let records = records::read(connection, *topic, at, *from, RECORDS, share)?;
        if found.is_empty() {
            found = records;
        } else {
            found.extend(records);
        }
    }
    Ok(found)
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}
