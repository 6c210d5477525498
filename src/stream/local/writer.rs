//! The one thread of a process that writes. What waits for it goes into one transaction, so that one wait for the disk
//! serves many; each piece is written whole or not at all, and answered when the disk has it.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::cursor::Bell;
use super::fault;
use super::keeper::Keeper;
use super::tables::Known;
use crate::base::clock::Clock;
use crate::base::failpoint;
use crate::base::sqlite::{SqliteError, SqliteErrorKind};

/// Pieces of work in one transaction, at most.
const PIECES: usize = 64;
/// Bytes in one transaction after which no further piece joins.
const BYTES: usize = 8 << 20;
/// Pieces that may wait; whoever has more waits before the door.
const WAITING: usize = 256;

/// What a piece of work may touch.
pub(super) struct Desk<'d> {
    pub transaction: &'d Transaction<'d>,
    pub topics: &'d mut Known,
    pub now: i64,
}

/// The door to the thread.
#[derive(Clone)]
pub(super) struct Writer {
    pieces: mpsc::Sender<Box<dyn Piece>>,
}

impl Writer {
    /// Starts the thread on a connection of its own.
    pub fn start(
        path: PathBuf,
        connection: Connection,
        clock: Arc<dyn Clock>,
        bell: Bell,
        keeper: Keeper,
    ) -> std::io::Result<Writer> {
        let (pieces, waiting) = mpsc::channel(WAITING);
        let topics = Known::default();
        let mut thread = Thread { path, connection, topics, clock, bell, keeper };
        // It ends when the last door is gone; what was handed in before is still written.
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || thread.run(waiting))?;
        Ok(Writer { pieces })
    }

    /// Writes a piece: `work` refuses before it writes anything, or writes all of it. It may be run again if the
    /// transaction that it was in could not be written. `bytes` is about what it adds.
    pub async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnMut(&mut Desk<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SqliteError> {
        let (reply, answer) = oneshot::channel();
        let piece = Task { work, bytes, outcome: None, reply };
        self.pieces.send(Box::new(piece)).await.map_err(|_| fault::closed())?;
        answer.await.map_err(|_| fault::closed())?
    }
}

trait Piece: Send {
    fn bytes(&self) -> usize;
    fn apply(&mut self, desk: &mut Desk<'_>) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, written: Result<(), SqliteError>);
}

struct Task<T, F> {
    work: F,
    bytes: usize,
    outcome: Option<T>,
    reply: oneshot::Sender<Result<T, SqliteError>>,
}

impl<T, F> Piece for Task<T, F>
where
    T: Send,
    F: FnMut(&mut Desk<'_>) -> rusqlite::Result<T> + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn apply(&mut self, desk: &mut Desk<'_>) -> rusqlite::Result<()> {
        self.outcome = Some((self.work)(desk)?);
        Ok(())
    }

    fn answer(self: Box<Self>, written: Result<(), SqliteError>) {
        let Task { outcome, reply, .. } = *self;
        // Whoever asked may have gone.
        drop(reply.send(written.and_then(|()| outcome.ok_or_else(fault::closed))));
    }
}

struct Thread {
    path: PathBuf,
    connection: Connection,
    topics: Known,
    clock: Arc<dyn Clock>,
    bell: Bell,
    keeper: Keeper,
}

impl Thread {
    fn run(&mut self, mut waiting: mpsc::Receiver<Box<dyn Piece>>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut bytes = first.bytes();
            let mut pieces = vec![first];
            while pieces.len() < PIECES
                && bytes < BYTES
                && let Ok(piece) = waiting.try_recv()
            {
                bytes += piece.bytes();
                pieces.push(piece);
            }
            match self.write(&mut pieces) {
                Err(error) if pieces.len() > 1 && error.kind == SqliteErrorKind::Other => {
                    // One of them can't be written: the others shall not suffer for it.
                    for piece in pieces {
                        let mut alone = [piece];
                        let written = self.write(&mut alone);
                        let [piece] = alone;
                        piece.answer(written);
                    }
                }
                written => {
                    for piece in pieces {
                        piece.answer(written.clone());
                    }
                }
            }
        }
    }

    fn write(&mut self, pieces: &mut [Box<dyn Piece>]) -> Result<(), SqliteError> {
        let explain = |error| SqliteError::new(&self.path, &error);
        self.keeper.pass();
        let now = self.clock.now();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(explain)?;
        failpoint::reached("local.begun");
        let mut desk = Desk { transaction: &transaction, topics: &mut self.topics, now };
        for piece in &mut *pieces {
            // An error here may have ended the whole transaction: nothing more may be written under it.
            piece.apply(&mut desk).map_err(explain)?;
            failpoint::reached("local.applied");
        }
        failpoint::reached("local.before-end");
        transaction.commit().map_err(explain)?;
        failpoint::reached("local.after-end");
        self.bell.ring();
        self.keeper.wrote(pieces.iter().map(|piece| piece.bytes()).sum());
        Ok(())
    }
}
