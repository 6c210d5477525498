//! The handle on one log file, as the other rooms see it.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, TransactionBehavior};

use super::cursor::{Bell, Cursor};
use super::follower::Tail;
use super::keeper::Keeper;
use super::lock::GroupLock;
use super::member;
use super::reads::Reads;
use super::writer::Writer;
use super::{append, fault, groups, records, tables};
use crate::base::clock::Clock;
use crate::base::sqlite::{self, Checkpoint, SqliteError, Synchronous};
use crate::stream::topic::TopicRules;
use crate::stream::{
    Ends, Extent, Follower, From, Log, LogReader, LogWriter, Membership, Output, Progress,
    StreamError, StreamErrorKind, Topic, TopicPartition,
};

/// Where the file is, and when a commit counts as done.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file; it is made when it is not there.
    pub path: PathBuf,
    /// When a commit counts as done.
    pub synchronous: Synchronous,
}

/// A log file.
#[derive(Clone)]
pub struct Local {
    settings: Settings,
    clock: Arc<dyn Clock>,
    cluster: Arc<str>,
    reads: Reads,
    writer: Writer,
    bell: Bell,
}

impl Local {
    /// Opens the file. Its threads end when the last handle, member and follower is gone.
    pub async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Local, StreamError> {
        aside(move || {
            let connect = || connect(&settings);
            let mut connection = connect()?;
            let explain = |error| fault::stream(SqliteError::new(&settings.path, &error));
            let made = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .and_then(|transaction| {
                    let made = tables::make(&transaction, clock.draw())?;
                    transaction.commit()?;
                    Ok(made)
                })
                .map_err(explain)?;
            let setting = |message| StreamError { kind: StreamErrorKind::Setting, message };
            let cluster = made.map_err(setting)?;
            let path = || settings.path.clone();
            let bell = Bell::default();
            let keeper = Keeper::start(path(), connect()?, clock.clone()).map_err(thread)?;
            let reads = Reads::start(path(), connect()?).map_err(thread)?;
            let writer = Writer::start(path(), connection, clock.clone(), bell.clone(), keeper);
            let writer = writer.map_err(thread)?;
            Ok(Local { settings, clock, cluster, reads, writer, bell })
        })
        .await
    }

    async fn cursor(&self) -> Result<Cursor, StreamError> {
        let (settings, bell) = (self.settings.clone(), self.bell.clone());
        aside(move || {
            let connection = connect(&settings)?;
            Cursor::start(settings.path, connection, &bell).map_err(thread)
        })
        .await
    }
}

#[async_trait]
impl Log for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn cluster(&self) -> Result<Arc<str>, StreamError> {
        Ok(self.cluster.clone())
    }

    async fn topics(&self) -> Result<Vec<Topic>, StreamError> {
        let rows = self.reads.ask(tables::all).await.map_err(fault::stream)?;
        Ok(rows.into_iter().map(|row| row.topic).collect())
    }

    async fn create(&self, topics: &[Topic]) -> Result<(), StreamError> {
        for topic in topics {
            TopicRules::read(topic)?;
        }
        let topics = topics.to_vec();
        let made = self.writer.write(0, move |desk| {
            topics.iter().try_for_each(|topic| tables::create(desk.transaction, topic))
        });
        made.await.map_err(fault::stream)
    }

    async fn extents(&self, topic: &str) -> Result<Vec<Extent>, StreamError> {
        let name = topic.to_owned();
        let found = self.reads.ask(move |connection| {
            let Some(row) = tables::find(connection, &name)? else { return Ok(Vec::new()) };
            let at = TopicPartition { topic: row.topic.name, partition: 0 };
            let low = records::low(connection, row.id)?;
            Ok(vec![Extent { at, low, high: records::high(connection, row.id)? }])
        });
        found.await.map_err(fault::stream)
    }

    async fn committed(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<Vec<(i32, Progress)>, StreamError> {
        let (group_name, topic_name) = (group.to_owned(), topic.to_owned());
        let found =
            self.reads.ask(move |connection| match tables::find(connection, &topic_name)? {
                Some(row) => groups::committed(connection, &group_name, row.id),
                None => Ok(None),
            });
        let Some((base, text)) = found.await.map_err(fault::stream)? else {
            return Ok(Vec::new());
        };
        let progress =
            Progress::decode(base, &text).map_err(|error| member::corrupt(group, topic, &error))?;
        Ok(vec![(0, progress)])
    }

    async fn send(&self, outputs: Vec<Output>) -> Result<Ends, StreamError> {
        let rows = append::pack(&outputs);
        let bytes = append::size(&rows);
        let sent = self.writer.write(bytes, move |desk| append::append(desk, &rows));
        let refused = sent.await.map_err(fault::stream)?;
        refused.map_err(|refused| StreamError { kind: refused.kind, message: refused.message })
    }

    async fn follow(&self, topic: &str, from: From) -> Result<Box<dyn Follower>, StreamError> {
        let name = topic.to_owned();
        let found = self.reads.ask(move |connection| {
            let Some(row) = tables::find(connection, &name)? else { return Ok(None) };
            let start = records::resolve(connection, row.id, from)?;
            let end = records::high(connection, row.id)?;
            Ok(Some((row, start, end)))
        });
        let found = found.await.map_err(fault::stream)?;
        let (row, start, end) = found.ok_or_else(|| fault::unknown_topic(topic))?;
        let cursor = self.cursor().await?;
        Ok(Box::new(Tail::new(cursor, self.reads.clone(), &row, start, end)))
    }

    async fn read(&self, at: &TopicPartition, from: i64) -> Result<Box<dyn Follower>, StreamError> {
        let name = at.topic.to_string();
        let found = self.reads.ask(move |connection| {
            let Some(row) = tables::find(connection, &name)? else { return Ok(None) };
            let start = from.max(records::low(connection, row.id)?);
            let end = records::high(connection, row.id)?;
            Ok(Some((row, start, end)))
        });
        let found = found.await.map_err(fault::stream)?;
        let (row, start, end) = found.ok_or_else(|| fault::unknown_topic(&at.topic))?;
        let cursor = self.cursor().await?;
        Ok(Box::new(Tail::new(cursor, self.reads.clone(), &row, start, end)))
    }

    async fn join(
        &self,
        membership: Membership,
    ) -> Result<(Box<dyn LogReader>, Box<dyn LogWriter>), StreamError> {
        let (path, group) = (self.settings.path.clone(), membership.group.clone());
        let lock = aside(move || GroupLock::take(&path, &group)).await?;
        let id = self.clock.draw();
        let joined = member::enter(&self.writer, &membership, id).await?;
        let cursor = self.cursor().await?;
        let (reader, writer) =
            member::pair(&membership.group, id, lock, joined, cursor, self.writer.clone());
        Ok((Box::new(reader), Box::new(writer)))
    }
}

fn connect(settings: &Settings) -> Result<Connection, StreamError> {
    let options = sqlite::Options {
        synchronous: settings.synchronous,
        checkpoint: Checkpoint::Elsewhere,
        ..sqlite::Options::default()
    };
    sqlite::connect(&settings.path, &options).map_err(fault::stream)
}

fn thread(error: std::io::Error) -> StreamError {
    let message = format!("can't start a thread for the local log: {error}");
    StreamError { kind: StreamErrorKind::Fatal, message }
}

/// Runs something that waits for the disk where it may.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StreamError> + Send + 'static,
) -> Result<T, StreamError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(fault::stream(fault::closed())),
    }
}
