use rdkafka::Offset;

use super::{Opened, starts};
use crate::stream::kafka::KafkaConfig;
use crate::stream::{Progress, TopicPartition};

#[test]
fn the_client_starts_where_the_done_set_begins() {
    let opened = |partition, base| Opened {
        at: TopicPartition { topic: "in".into(), partition },
        progress: Progress { high: base + 9, ..Progress::starting_at(base) },
        resumed: true,
        end: 100,
    };
    let list = starts(&[opened(0, 5), opened(3, 0)]).unwrap();
    let found = list.elements().into_iter().map(|one| (one.partition(), one.offset()));
    assert_eq!(found.collect::<Vec<_>>(), [(0, Offset::Offset(5)), (3, Offset::Offset(0))]);
    assert_eq!(starts(&[]).unwrap().count(), 0);
}

#[test]
fn whoever_reads_committed_offsets_waits_for_open_transactions() {
    let config = KafkaConfig::default();
    for client in [config.member("group", "one"), config.observer("group")] {
        assert_eq!(client.get("isolation.level"), Some("read_committed"));
    }
}
