//! What the settings of a topic mean to a log that keeps its records itself (`local`, `memory`). Names and defaults are
//! Kafka's, so that one list of topics fits every log. A setting that would have to be heeded and is not is refused;
//! those about Kafka's own files and replicas are kept and mean nothing here.

use std::time::Duration;

use super::{StreamError, StreamErrorKind, Topic};

#[cfg(test)]
mod tests;

/// The settings of a topic that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicRules {
    /// Age at which records may go; none keeps them.
    pub retention: Option<Duration>,
    /// Largest record, key, value and headers together.
    pub max_bytes: usize,
    /// Whether the log sets every record's timestamp.
    pub append_time: bool,
}

impl Default for TopicRules {
    fn default() -> Self {
        TopicRules { retention: None, max_bytes: 1_048_588, append_time: false }
    }
}

impl TopicRules {
    /// Reads the settings of a topic, and looks at its name.
    pub fn read(topic: &Topic) -> Result<TopicRules, StreamError> {
        check_name(&topic.name)?;
        let mut rules = TopicRules::default();
        for (name, value) in &topic.config {
            let wrong =
                |expected: &str| setting(topic, &format!("`{name}: {value}` is not {expected}"));
            match name.as_str() {
                "retention.ms" if value == "-1" => rules.retention = None,
                "retention.ms" => {
                    let ms = value.parse().map_err(|_| wrong("a number of milliseconds or -1"))?;
                    rules.retention = Some(Duration::from_millis(ms));
                }
                "max.message.bytes" => {
                    rules.max_bytes = value.parse().map_err(|_| wrong("a number of bytes"))?;
                }
                "message.timestamp.type" => {
                    rules.append_time = match value.as_str() {
                        "CreateTime" => false,
                        "LogAppendTime" => true,
                        _ => return Err(wrong("`CreateTime` or `LogAppendTime`")),
                    };
                }
                "retention.bytes" if value != "-1" => {
                    return Err(wrong("supported by this log: use `retention.ms`"));
                }
                _ => {}
            }
        }
        Ok(rules)
    }

    /// Why a record of that size can never be written to that topic, if so.
    pub fn refuses(&self, topic: &str, size: usize) -> Option<String> {
        (size > self.max_bytes).then(|| {
            format!(
                "a record of {size} bytes for `{topic}`, which takes {} (`max.message.bytes`)",
                self.max_bytes
            )
        })
    }
}

fn check_name(name: &str) -> Result<(), StreamError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=249).contains(&name.len()) && name.chars().all(plain) && name != "." && name != ".." {
        return Ok(());
    }
    let message = format!(
        "`{name}` can't be a topic: a name has 1 to 249 letters, digits, dots, dashes and underscores"
    );
    Err(StreamError { kind: StreamErrorKind::Setting, message })
}

fn setting(topic: &Topic, what: &str) -> StreamError {
    let message = format!("topic `{}`: {what}", topic.name);
    StreamError { kind: StreamErrorKind::Setting, message }
}
