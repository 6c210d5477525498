//! A whole engine on a local log in a folder of its own, run to the end of what is there, and a hand on the file's rows.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, params};
use serde_json::Value;
use tokio::sync::watch;
use vivremotion::app::connect;
use vivremotion::app::engine::{Order, start};
use vivremotion::app::known::known;
use vivremotion::base::clock::{Clock, SystemClock};
use vivremotion::codec::Codecs;
use vivremotion::pipeline::load::load;
use vivremotion::pipeline::plan::Plan;
use vivremotion::settings::Settings;
use vivremotion::stage::StageKind;
use vivremotion::stream::{From, Log, Output, Record};

/// See the module.
pub struct LocalWorld {
    pub settings: Arc<Settings>,
    pub clock: Arc<dyn Clock>,
    pub log: Arc<dyn Log>,
    pub codecs: Codecs,
    files: Vec<PathBuf>,
    pub folder: tempfile::TempDir,
}

impl LocalWorld {
    /// Pipelines by name, without their heads, over a log that has no topic yet.
    pub async fn new(settings: &str, pipelines: &[(&str, &str)]) -> LocalWorld {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().display();
        let settings = super::driver::settings(&format!("state: {state}\n{settings}"));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let log = connect::log(&settings, &clock).await.unwrap();
        let codecs = connect::codecs(&settings).unwrap();
        let settings = Arc::new(settings);
        let files = Vec::new();
        let mut world = LocalWorld { settings, clock, log, codecs, files, folder };
        for (name, text) in pipelines {
            world.pipeline(name, text);
        }
        // Once with nothing to do: the topics are made.
        world.run().await;
        world
    }

    /// Writes a pipeline, or writes it anew.
    pub fn pipeline(&mut self, name: &str, text: &str) {
        let path = self.folder.path().join(format!("{name}.yaml"));
        std::fs::write(&path, format!("vivremotion: 1\npipeline: {name}\n{text}")).unwrap();
        if !self.files.contains(&path) {
            self.files.push(path);
        }
    }

    /// The checked pipelines.
    pub fn plans(&self) -> Vec<Plan<StageKind>> {
        let loaded = load(&self.files, &known(&self.settings));
        loaded.unwrap_or_else(|wrong| panic!("{wrong}")).plans
    }

    /// Runs the pipelines to the end as it is now.
    pub async fn run(&self) {
        let loaded = load(&self.files, &known(&self.settings));
        let loaded = loaded.unwrap_or_else(|wrong| panic!("{wrong}"));
        let order = Order {
            files: self.files.clone(),
            create: true,
            bounded: true,
            serve: false,
            apart: false,
        };
        let engine = start(Arc::clone(&self.settings), loaded, &order, None).await;
        let engine = engine.unwrap_or_else(|error| panic!("{error:?}"));
        let (_stop, stopped) = watch::channel(false);
        engine.work(stopped).await.unwrap_or_else(|error| panic!("{error:?}"));
    }

    /// Writes events.
    pub async fn send(&self, topic: &str, events: impl IntoIterator<Item = (&str, Value)>) {
        let outputs = events.into_iter().map(|(key, value)| Output {
            topic: topic.into(),
            partition: None,
            key: Some(key.to_owned().into()),
            value: Some(value.to_string().into()),
            headers: Vec::new(),
            timestamp: None,
        });
        self.log.send(outputs.collect()).await.unwrap();
    }

    /// What a topic holds.
    pub async fn records(&self, topic: &str) -> Vec<Record> {
        let mut follower = self.log.follow(topic, From::Earliest).await.unwrap();
        let mut found = Vec::new();
        while !follower.caught_up() {
            found.extend(follower.next(std::time::Duration::from_secs(5)).await.unwrap());
        }
        found
    }

    /// What a topic holds, as values.
    pub async fn values(&self, topic: &str) -> Vec<Value> {
        self.records(topic).await.iter().map(super::driver::value).collect()
    }

    /// Writes a record again as it is.
    pub async fn copy(&self, record: &Record) {
        let Record { at, key, value, headers, .. } = record.clone();
        let output =
            Output { topic: at.topic, partition: None, key, value, headers, timestamp: None };
        self.log.send(vec![output]).await.unwrap();
    }

    fn open(&self) -> Connection {
        Connection::open(self.folder.path().join("log.db")).unwrap()
    }

    fn table(&self, file: &Connection, topic: &str) -> String {
        let select = "SELECT id FROM log_topic WHERE name = ?1";
        let id: i64 = file.query_row(select, [topic], |row| row.get(0)).unwrap();
        format!("log_records_{id}")
    }

    /// Takes a record away, as no engine does.
    pub fn remove(&self, topic: &str, offset: i64) {
        let file = self.open();
        let delete = format!("DELETE FROM {} WHERE offset = ?1", self.table(&file, topic));
        assert_eq!(file.execute(&delete, [offset]).unwrap(), 1);
    }

    /// Writes another value over that of a record.
    pub fn overwrite(&self, topic: &str, offset: i64, value: &str) {
        let file = self.open();
        let table = self.table(&file, topic);
        let update = format!("UPDATE {table} SET value = ?2 WHERE offset = ?1");
        assert_eq!(file.execute(&update, params![offset, value.as_bytes()]).unwrap(), 1);
    }

    /// Makes a record somebody else's: without headers.
    pub fn disown(&self, topic: &str, offset: i64) {
        let file = self.open();
        let table = self.table(&file, topic);
        let update = format!("UPDATE {table} SET headers = NULL WHERE offset = ?1");
        assert_eq!(file.execute(&update, [offset]).unwrap(), 1);
    }

    /// Sets what a group has committed.
    pub fn commit(&self, group: &str, topic: &str, base: i64) {
        let text = vivremotion::stream::Progress::starting_at(base).encode();
        let update = "UPDATE log_offset SET base = ?3, progress = ?4 WHERE grp = ?1 \
            AND topic = (SELECT id FROM log_topic WHERE name = ?2)";
        assert_eq!(self.open().execute(update, params![group, topic, base, text]).unwrap(), 1);
    }
}
