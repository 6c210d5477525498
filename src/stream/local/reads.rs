//! A thread for short questions to the file that need no order with writes: topics, extents, committed progress.

use std::path::PathBuf;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::fault;
use crate::base::sqlite::SqliteError;

/// Questions that may wait.
const WAITING: usize = 64;

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// The door to the thread.
#[derive(Clone)]
pub(super) struct Reads {
    path: PathBuf,
    questions: mpsc::Sender<Question>,
}

impl Reads {
    /// Starts the thread on a connection of its own.
    pub fn start(path: PathBuf, connection: Connection) -> std::io::Result<Reads> {
        let (questions, mut waiting) = mpsc::channel::<Question>(WAITING);
        std::thread::Builder::new().name("log-reads".to_owned()).spawn(move || {
            while let Some(question) = waiting.blocking_recv() {
                question(&connection);
            }
        })?;
        Ok(Reads { path, questions })
    }

    /// Asks.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SqliteError> {
        let (reply, answer) = oneshot::channel();
        let question = Box::new(move |connection: &Connection| {
            // Whoever asked may have gone.
            drop(reply.send(question(connection)));
        });
        self.questions.send(question).await.map_err(|_| fault::closed())?;
        let answer = answer.await.map_err(|_| fault::closed())?;
        answer.map_err(|error| SqliteError::new(&self.path, &error))
    }
}
