use super::super::producer::{Tally, Waited, hand_over, produce_with};
use super::*;
use crate::stream::Output;

const SOON: Duration = Duration::from_secs(10);
const TOGETHER: Taking = Taking::Every(Duration::from_millis(2));

/// A broker inside the client.
fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("test.mock.num.brokers", "1").set("linger.ms", "0");
    config
}

fn outputs(count: usize) -> Vec<Output> {
    let value = |n: usize| Some(n.to_string().into_bytes().into());
    let output = |n| Output {
        topic: "out".into(),
        partition: Some(0),
        key: None,
        value: value(n),
        headers: Default::default(),
        timestamp: None,
    };
    (0..count).map(output).collect()
}

/// What came of handing them over.
fn sent(producer: &Producer, outputs: &[Output]) -> Waited {
    let tally = Arc::new(Tally::default());
    let handed = hand_over(producer, outputs, 0, &tally);
    assert!(handed.is_ok_and(|next| next == outputs.len()));
    tally.wait(SOON)
}

#[test]
fn every_report_is_taken_also_after_a_rest() {
    for taking in [Taking::AtOnce, TOGETHER] {
        let producer = produce_with(&config(), taking).unwrap();
        for count in [1, 500, 1] {
            let waited = sent(&producer, &outputs(count));
            assert!(matches!(waited, Waited::Delivered), "{taking:?}, {count}");
        }
    }
}

/// The client puts lines of its log before its reports.
#[test]
fn a_talkative_client_is_not_kept_from_its_reports() {
    let mut config = config();
    config.set("debug", "all").set_log_level(rdkafka::config::RDKafkaLogLevel::Debug);
    // A request for each record, and a dozen lines for each request.
    config.set("batch.num.messages", "1");
    let producer = produce_with(&config, TOGETHER).unwrap();
    assert!(matches!(sent(&producer, &outputs(2_000)), Waited::Delivered));
}

#[test]
fn the_thread_ends_with_the_last_handle_and_lets_the_client_go() {
    for taking in [Taking::AtOnce, TOGETHER] {
        let producer = produce_with(&config(), taking).unwrap();
        let client = Arc::downgrade(&producer.0.client);
        let other = producer.clone();
        drop(producer);
        assert!(matches!(sent(&other, &outputs(1)), Waited::Delivered), "{taking:?}");
        drop(other);
        assert_eq!(client.strong_count(), 0, "{taking:?}");
    }
}
