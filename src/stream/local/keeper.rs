//! Housekeeping on a thread and a connection of its own: moves the write-ahead log into the file, so that no commit has
//! to, and drops records that are older than their topic keeps them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
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
const MAX_WAL: u64 = 64 << 20;
/// How often it looks without being told.
const LOOK: Duration = Duration::from_secs(1);
/// Milliseconds between two rounds of dropping old records.
const ROUND: i64 = 60_000;
/// Records dropped in one transaction: it holds up the writers for less than a commit takes.
const CHUNK: i64 = 1_000;

/// Tells the thread what was written; it ends when the last of these is gone.
#[derive(Clone)]
pub(super) struct Keeper(SyncSender<usize>);

impl Keeper {
    /// Starts the thread.
    pub fn start(
        path: PathBuf,
        connection: Connection,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Keeper> {
        let (door, written) = sync_channel(16);
        let mut thread = Thread { wal: wal(&path), connection, clock };
        std::thread::Builder::new()
            .name("log-keeper".to_owned())
            .spawn(move || thread.run(&written))?;
        Ok(Keeper(door))
    }

    /// A transaction of so many bytes was written.
    pub fn wrote(&self, bytes: usize) {
        // Full means that it has work: it will see these bytes in the size of the file.
        self.0.try_send(bytes + COMMIT).ok();
    }
}

fn wal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

struct Thread {
    wal: PathBuf,
    connection: Connection,
    clock: Arc<dyn Clock>,
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

    fn checkpoint(&self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        if std::fs::metadata(&self.wal).is_ok_and(|wal| wal.len() > MAX_WAL) {
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        Ok(())
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
