//! What a story is, and the world it plays in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use libtest_mimic::{Completion, Failed};

use crate::services::{BRIEF, Kafka, Need, Python, Qdrant, Registry, Services};

/// A story ends by then, or it failed.
const LONGEST: Duration = Duration::from_secs(300);

/// What a story does.
pub type Run = fn(&World) -> LocalBoxFuture<'_, ()>;

/// One test: what it says, what it needs, what it does.
pub struct Story {
    /// A sentence.
    pub name: &'static str,
    /// Services that must be up.
    pub needs: &'static [Need],
    /// It fails by panicking.
    pub run: Run,
}

/// What one story may use: the run's services, names and a directory of its own.
pub struct World {
    services: Arc<Services>,
    dir: PathBuf,
    prefix: String,
}

impl World {
    /// The world of one story.
    pub fn new(story: &Story, services: Arc<Services>) -> World {
        let dir = services.dir("story");
        // The directory's number is unique in the run, and the services are the run's.
        let number = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let words: String = story.name.split('_').take(3).collect::<Vec<_>>().join("-");
        World { services, prefix: format!("{number}-{words}"), dir }
    }

    /// Plays a story.
    pub fn play(&self, run: Run) -> Result<Completion, Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match runtime.block_on(async { tokio::time::timeout(LONGEST, run(self)).await }) {
            Ok(()) => Ok(Completion::Completed),
            Err(_) => Err(Failed::from(format!("the story did not end within {LONGEST:?}"))),
        }
    }

    /// A directory of its own.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The name of a topic, group, subject or collection that no other story uses.
    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// The run's broker. Other stories use it too: one that kills it takes [`World::own_kafka`].
    pub fn kafka(&self) -> &Kafka {
        self.services.kafka()
    }

    /// The run's registry.
    pub fn registry(&self) -> &Registry {
        self.services.registry()
    }

    /// The run's Qdrant.
    pub fn qdrant(&self) -> &Qdrant {
        self.services.qdrant()
    }

    /// Python with Kafka's client.
    pub fn python(&self) -> &Python {
        self.services.python()
    }

    /// A broker that only this story uses. It needs `OwnKafka`.
    pub fn own_kafka(&self) -> Kafka {
        Kafka::start(&self.services.dir("own-kafka"), None, BRIEF)
            .unwrap_or_else(|missing| panic!("{missing}"))
    }

    /// A registry that only this story uses.
    pub fn own_registry(&self) -> Registry {
        let dir = self.services.dir("own-registry");
        Registry::start(&dir).unwrap_or_else(|missing| panic!("{missing}"))
    }

    /// A Qdrant that only this story uses.
    pub fn own_qdrant(&self) -> Qdrant {
        let dir = self.services.dir("own-qdrant");
        Qdrant::start(&dir).unwrap_or_else(|missing| panic!("{missing}"))
    }
}
