//! A log that is away when somebody joins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use vivremotion::stream::memory::Memory;
use vivremotion::stream::{
    Ends, Extent, Follower, From, Log, LogReader, LogWriter, Membership, Output, Progress,
    StreamError, StreamErrorKind, Topic, TopicPartition,
};

/// The log of the tests, which fails so many joins.
pub struct Away {
    pub log: Memory,
    pub joins: Arc<AtomicUsize>,
}

#[async_trait]
impl Log for Away {
    fn name(&self) -> &'static str {
        self.log.name()
    }
    async fn cluster(&self) -> Result<Arc<str>, StreamError> {
        self.log.cluster().await
    }
    async fn topics(&self) -> Result<Vec<Topic>, StreamError> {
        self.log.topics().await
    }
    async fn create(&self, topics: &[Topic]) -> Result<(), StreamError> {
        self.log.create(topics).await
    }
    async fn extents(&self, topic: &str) -> Result<Vec<Extent>, StreamError> {
        self.log.extents(topic).await
    }
    async fn written(&self, topic: &str) -> Result<Vec<(TopicPartition, i64)>, StreamError> {
        Log::written(&self.log, topic).await
    }
    async fn committed(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<Vec<(i32, Progress)>, StreamError> {
        self.log.committed(group, topic).await
    }
    async fn send(&self, outputs: Vec<Output>) -> Result<Ends, StreamError> {
        self.log.send(outputs).await
    }
    async fn read(&self, at: &TopicPartition, from: i64) -> Result<Box<dyn Follower>, StreamError> {
        self.log.read(at, from).await
    }
    async fn follow(&self, topic: &str, from: From) -> Result<Box<dyn Follower>, StreamError> {
        self.log.follow(topic, from).await
    }
    async fn join(
        &self,
        membership: Membership,
    ) -> Result<(Box<dyn LogReader>, Box<dyn LogWriter>), StreamError> {
        let one_less = |joins: usize| joins.checked_sub(1);
        if self.joins.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            let (kind, message) = (StreamErrorKind::Unavailable, "no broker answers".to_owned());
            return Err(StreamError { kind, message });
        }
        self.log.join(membership).await
    }
}
