use std::time::Duration;

use super::TopicRules;
use crate::stream::{StreamErrorKind, Topic};

fn topic(name: &str, config: &[(&str, &str)]) -> Topic {
    let config = config.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Topic { name: name.into(), partitions: 1, config }
}

#[test]
fn settings_are_read_by_their_kafka_names() {
    let config = [
        ("retention.ms", "60000"),
        ("max.message.bytes", "10"),
        ("message.timestamp.type", "LogAppendTime"),
        ("segment.bytes", "1048576"),
        ("retention.bytes", "-1"),
    ];
    let rules = TopicRules::read(&topic("tickets.v1_a-b", &config)).unwrap();
    let expected =
        TopicRules { retention: Some(Duration::from_secs(60)), max_bytes: 10, append_time: true };
    assert_eq!(rules, expected);
    let kept = TopicRules::read(&topic("t", &[("retention.ms", "-1")])).unwrap();
    assert_eq!(kept, TopicRules::default());
}

#[test]
fn what_can_not_be_kept_is_refused() {
    let long = "x".repeat(250);
    for (name, config) in [
        ("t", vec![("retention.ms", "a day")]),
        ("t", vec![("retention.bytes", "1000")]),
        ("t", vec![("message.timestamp.type", "now")]),
        ("t", vec![("max.message.bytes", "-1")]),
        ("", vec![]),
        ("..", vec![]),
        ("a b", vec![]),
        ("é", vec![]),
        (long.as_str(), vec![]),
    ] {
        let refused = TopicRules::read(&topic(name, &config));
        assert_eq!(refused.map_err(|e| e.kind), Err(StreamErrorKind::Setting), "{name} {config:?}");
    }
}
