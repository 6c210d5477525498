use std::time::Duration;

use super::super::producer::is_trouble;
use super::{KafkaConfig, Times, refusal};
use crate::stream::StreamErrorKind;

fn with(name: &str, value: &str) -> KafkaConfig {
    KafkaConfig {
        brokers: "localhost:9092".to_owned(),
        client: vec![(name.to_owned(), value.to_owned())],
        group_prefix: "acme".to_owned(),
    }
}

#[test]
fn settings_that_the_engine_owns_are_refused_by_name() {
    for name in ["group.id", "transactional.id", "linger.ms", "plugin.library.paths", "acks"] {
        let error = with(name, "x").check().unwrap_err();
        assert_eq!(error.kind, StreamErrorKind::Setting);
        assert!(error.message.contains(&format!("`{name}`")), "{}", error.message);
        assert!(!error.message.contains("`x`"), "a value may be a secret: {}", error.message);
    }
    assert_eq!(refusal("sasl.username"), None);
    assert!(with("sasl.mechanism", "PLAIN").check().is_ok());
}

#[test]
fn every_setting_of_a_member_and_a_producer_that_we_make_is_our_own_or_a_default() {
    let free =
        ["client.id", "partitioner", "compression.type", "queue.buffering.max.kbytes", "debug"];
    let fetch = ["queued.max.messages.kbytes", "fetch.queue.backoff.ms"];
    let config = KafkaConfig { client: Vec::new(), ..with("", "") };
    for made in [config.member("g", "i"), config.transactional("t"), config.follower()] {
        for name in made.config_map().keys() {
            let known = free.contains(name) || fetch.contains(name) || refusal(name).is_some();
            assert!(known, "`{name}` is set by the engine and could be set by the user too");
        }
    }
}

#[test]
fn a_member_stands_still_no_longer_than_a_session_less_a_heartbeat() {
    let seconds = |session, stillness| Times {
        session: Duration::from_secs(session),
        stillness: Duration::from_secs(stillness),
    };
    assert_eq!(with("client.id", "x").times(), seconds(45, 42));
    assert_eq!(with("session.timeout.ms", "10000").times(), seconds(10, 7));
    assert_eq!(with("session.timeout.ms", "3000").times(), seconds(3, 1));
    assert_eq!(with("heartbeat.interval.ms", "15000").times(), seconds(45, 30));
}

#[test]
fn what_the_user_chooses_stands() {
    let made = with("compression.codec", "zstd").producer();
    assert_eq!(made.get("compression.codec"), Some("zstd"));
    assert_eq!(made.get("compression.type"), None, "one name for one thing");
    assert_eq!(with("partitioner", "random").producer().get("partitioner"), Some("random"));
    let made = with("fetch.queue.backoff.ms", "7").member("g", "i");
    assert_eq!(made.get("fetch.queue.backoff.ms"), Some("7"));
}

#[test]
fn debug_shows_names_and_no_values() {
    let shown = format!("{:?}", with("sasl.password", "hunter2"));
    assert!(shown.contains("sasl.password"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_transactional_producer_is_told_of_every_broken_connection() {
    assert_eq!(with("", "").transactional("t").get("debug"), Some("broker"));
    assert_eq!(with("debug", "eos").transactional("t").get("debug"), Some("eos,broker"));
    assert_eq!(with("debug", "eos").producer().get("debug"), Some("eos"));
}

#[test]
fn only_a_connection_that_was_up_can_have_lost_a_request() {
    let broke = "127.0.0.1:9092/1: Disconnected (after 5ms in state UP) (_TRANSPORT): suppressed";
    assert!(is_trouble("FAIL", broke));
    assert!(is_trouble("REQTMOUT", "Timed out 1 in-flight"));
    let refused = "127.0.0.1:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)";
    assert!(!is_trouble("FAIL", refused));
    assert!(!is_trouble("STATE", "Broker changed state UP -> DOWN"));
}
