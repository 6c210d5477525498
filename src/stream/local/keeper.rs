//! Housekeeping on a thread and a connection of its own: moves the write-ahead log into the file, so that no commit has
//! to, and drops records that are older than their topic keeps them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::{records, tables};
use crate::base::clock::Clock;

/// Written bytes after which the write-ahead log is moved.
const DUE: usize = 4 << 20;
/// What a commit writes beside its records: some pages.
const COMMIT: usize = 64 << 10;
/// Above this size of the write-ahead log writers are held up for the rest of the move, so that it can begin anew:
/// a writer that never pauses would let it grow for ever.
const MAX_WAL: u64 = 32 << 20;
/// How often it looks without being told.
const LOOK: Duration = Duration::from_secs(1);
/// Milliseconds until it tries again to begin anew when somebody was in the way.
const RETRY: i64 = 30_000;
/// Milliseconds between two rounds of dropping old records.
const ROUND: i64 = 60_000;
/// Records dropped in one transaction: it holds up the writers for less than a commit takes.
const CHUNK: i64 = 1_000;

/// Longest wait for other processes, and longest time that a writer is held up meanwhile.
const BUSY: Duration = Duration::from_secs(1);
const HELD_UP: Duration = Duration::from_secs(3);

/// The writer's side: tells the thread what was written. The thread ends with it.
pub(super) struct Keeper {
    written: SyncSender<usize>,
    gate: Arc<Gate>,
}

/// Closed while the keeper needs the file without writers. It polls for SQLite's own lock, so against a writer that
/// never pauses it would always come too late.
struct Gate {
    wal: PathBuf,
    /// Somebody reads an old state and does not end: holding up writers would not help.
    hopeless: AtomicBool,
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, closed: bool) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = closed;
        self.opened.notify_all();
    }
}

impl Keeper {
    /// Starts the thread.
    pub fn start(
        path: PathBuf,
        connection: Connection,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Keeper> {
        let (written, heard) = sync_channel(16);
        connection.busy_timeout(BUSY).ok();
        let gate = Arc::new(Gate {
            wal: wal(&path),
            hopeless: AtomicBool::new(false),
            closed: Mutex::default(),
            opened: Condvar::new(),
        });
        let mut thread = Thread { connection, clock, gate: gate.clone(), retry_at: 0 };
        std::thread::Builder::new()
            .name("log-keeper".to_owned())
            .spawn(move || thread.run(&heard))?;
        Ok(Keeper { written, gate })
    }

    /// A transaction of so many bytes was written.
    pub fn wrote(&self, bytes: usize) {
        // Full means that it has work: it will see these bytes in the size of the file.
        self.written.try_send(bytes + COMMIT).ok();
    }

    /// Called before a transaction: waits while the keeper needs the file, and until it has caught up when the
    /// write-ahead log is far too large, because the disk is slower than those who send.
    pub fn pass(&self) {
        let gate = &self.gate;
        if !gate.hopeless.load(Ordering::Relaxed) && length(&gate.wal) > 2 * MAX_WAL {
            gate.set(true);
            self.written.try_send(DUE).ok();
        }
        let closed = gate.closed.lock().unwrap_or_else(PoisonError::into_inner);
        drop(gate.opened.wait_timeout_while(closed, HELD_UP, |closed| *closed));
    }
}

fn length(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |file| file.len())
}

fn wal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

struct Thread {
    connection: Connection,
    clock: Arc<dyn Clock>,
    gate: Arc<Gate>,
    /// Not before this time is the write-ahead log begun anew.
    retry_at: i64,
}

impl Thread {
    fn run(&mut self, written: &Receiver<usize>) {
        let (mut bytes, mut round) = (0, None);
        loop {
            let now = self.clock.now();
            if round.is_none_or(|last: i64| !(last..last + ROUND).contains(&now)) {
                round = Some(now);
                if let Err(error) = self.drop_old() {
                    tracing::debug!(%error, "old records were not dropped");
                }
            }
            let idle = match written.recv_timeout(LOOK) {
                Ok(more) => {
                    bytes += more;
                    false
                }
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if bytes >= DUE || (idle && bytes > 0) {
                // A reader or another keeper may be in the way: then the next round does it.
                drop(self.checkpoint());
                bytes = 0;
            }
        }
    }

    fn checkpoint(&mut self) -> rusqlite::Result<()> {
        // The first column tells whether somebody was in the way.
        let ask = |sql| self.connection.query_row(sql, [], |row| row.get::<_, bool>(0));
        let mut blocked = ask("PRAGMA wal_checkpoint(PASSIVE)");
        let now = self.clock.now();
        if length(&self.gate.wal) > MAX_WAL && now >= self.retry_at {
            self.gate.set(true);
            blocked = ask("PRAGMA wal_checkpoint(TRUNCATE)");
            let hopeless = !matches!(blocked, Ok(false));
            self.gate.hopeless.store(hopeless, Ordering::Relaxed);
            self.retry_at = if hopeless { now + RETRY } else { now };
        }
        self.gate.set(false);
        blocked.map(|_| ())
    }

    fn drop_old(&mut self) -> rusqlite::Result<()> {
        let now = self.clock.now();
        for row in tables::all(&self.connection)? {
            let Some(keep) = row.rules.retention else { continue };
            let before = now.saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
            while let Some(end) = records::old(&self.connection, row.id, before, CHUNK)? {
                let transaction =
                    self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                records::drop_below(&transaction, row.id, end)?;
                transaction.commit()?;
            }
        }
        Ok(())
    }
}
