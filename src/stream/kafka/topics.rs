//! Listing topics with their settings, and creating them.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigSource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::config::KafkaConfig;
use super::fault;
use super::log::blocking;
use super::lookup::Lookup;
use crate::stream::{StreamError, StreamErrorKind, Topic};

/// Time limit of one administrative request.
const WITHIN: Duration = Duration::from_secs(10);
/// A setting that is always shown: what may be written depends on it.
const ALWAYS: &str = "max.message.bytes";

/// Adds to each topic the settings that are its own, and the largest record it takes.
pub(super) async fn describe(
    config: &KafkaConfig,
    found: Vec<(Arc<str>, i32)>,
) -> Result<Vec<Topic>, StreamError> {
    let mut topics: Vec<Topic> = found
        .into_iter()
        .map(|(name, partitions)| Topic { name, partitions, config: Vec::new() })
        .collect();
    if topics.is_empty() {
        return Ok(topics);
    }
    let names: Vec<Arc<str>> = topics.iter().map(|topic| topic.name.clone()).collect();
    let resources = with_admin(config, move |admin, handle| {
        let wanted: Vec<ResourceSpecifier<'_>> =
            names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let described = admin.describe_configs(&wanted, &options());
        handle.block_on(described).map_err(|error| fault::stream_error("describing topics", &error))
    })
    .await?;
    // Who may not see the settings of a topic still sees the topic.
    for resource in resources.into_iter().flatten() {
        let OwnedResourceSpecifier::Topic(name) = &resource.specifier else { continue };
        let Some(topic) = topics.iter_mut().find(|topic| *topic.name == **name) else { continue };
        for entry in resource.entries {
            if (entry.source == ConfigSource::DynamicTopic || entry.name == ALWAYS)
                && !entry.is_sensitive
                && let Some(value) = entry.value
            {
                topic.config.push((entry.name, value));
            }
        }
        topic.config.sort();
    }
    Ok(topics)
}

/// Creates topics and waits until they can be written to.
pub(super) async fn create(
    config: &KafkaConfig,
    wanted: &[Topic],
    lookup: &Arc<Lookup>,
) -> Result<(), StreamError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let topics = wanted.to_vec();
    let lookup = lookup.clone();
    with_admin(config, move |admin, handle| {
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|topic| {
                // −1: as many replicas as the cluster makes by default.
                let replication = TopicReplication::Fixed(-1);
                let new = NewTopic::new(&topic.name, topic.partitions, replication);
                topic.config.iter().fold(new, |new, (name, value)| new.set(name, value))
            })
            .collect();
        let created = handle
            .block_on(admin.create_topics(&new, &options()))
            .map_err(|error| fault::stream_error("creating topics", &error))?;
        for result in created {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    return Err(StreamError {
                        kind: fault::kind_of(code),
                        message: format!("topic `{name}` can't be created: {code}"),
                    });
                }
            }
        }
        topics.iter().try_for_each(|topic| await_topic(&lookup, &topic.name))
    })
    .await
}

fn await_topic(lookup: &Lookup, topic: &str) -> Result<(), StreamError> {
    let deadline = Instant::now() + WITHIN;
    loop {
        if lookup.extents(topic).is_ok_and(|extents| !extents.is_empty()) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(StreamError {
                kind: StreamErrorKind::Unavailable,
                message: format!("topic `{topic}` was created but has no leader yet"),
            });
        }
        super::producer::rest(Duration::from_millis(20));
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(WITHIN)).operation_timeout(Some(WITHIN))
}

/// Makes an administrative client for one use, off the runtime: making and dropping it block.
async fn with_admin<T: Send + 'static>(
    config: &KafkaConfig,
    work: impl FnOnce(&AdminClient<DefaultClientContext>, &Handle) -> Result<T, StreamError>
    + Send
    + 'static,
) -> Result<T, StreamError> {
    let client = config.lookup();
    let handle = Handle::current();
    blocking(move || {
        let admin: AdminClient<DefaultClientContext> =
            client.create().map_err(|error| fault::stream_error("administration", &error))?;
        work(&admin, &handle)
    })
    .await
}
