use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{ClientConfig, config::FromClientConfig};

use super::{Class, Subject, fault, is_unwritable, kind_of, stream_error, subject_of};
use crate::stream::StreamErrorKind;

#[test]
fn a_setting_that_the_client_refuses_is_named_without_its_value() {
    for (name, value) in [("sasl.passwort", "hunter2"), ("security.protocol", "hunter2")] {
        let error = BaseConsumer::from_config(ClientConfig::new().set(name, value)).err().unwrap();
        let told = stream_error("joining", &error);
        assert_eq!(told.kind, StreamErrorKind::Setting);
        assert!(told.message.contains(name), "{}", told.message);
        assert!(!told.message.contains("hunter2"), "{}", told.message);
    }
}

#[test]
fn codes_are_sorted_by_what_is_to_be_done() {
    for (code, kind) in [
        (Code::UnknownTopicOrPartition, StreamErrorKind::UnknownTopic),
        (Code::TopicAuthorizationFailed, StreamErrorKind::Denied),
        (Code::SaslAuthenticationFailed, StreamErrorKind::Denied),
        (Code::FencedInstanceId, StreamErrorKind::Fatal),
        (Code::InvalidConfig, StreamErrorKind::Setting),
        (Code::AllBrokersDown, StreamErrorKind::Unavailable),
        (Code::CoordinatorLoadInProgress, StreamErrorKind::Unavailable),
    ] {
        assert_eq!(kind_of(code), kind, "{code}");
    }
    for (code, subject) in [
        (Code::IllegalGeneration, Subject::Membership),
        (Code::UnknownMemberId, Subject::Membership),
        (Code::FencedInstanceId, Subject::Membership),
        (Code::ProducerFenced, Subject::Producer),
        (Code::InvalidProducerEpoch, Subject::Producer),
        (Code::TransactionalIdAuthorizationFailed, Subject::Access),
        (Code::OffsetMetadataTooLarge, Subject::Progress),
        (Code::ConcurrentTransactions, Subject::Other),
    ] {
        assert_eq!(subject_of(code), subject, "{code}");
    }
}

#[test]
fn only_what_can_never_be_written_is_unwritable() {
    for code in [Code::MessageSizeTooLarge, Code::UnknownTopic, Code::InvalidRecord] {
        assert!(is_unwritable(code), "{code}");
    }
    for code in [
        Code::MessageTimedOut,
        Code::TopicAuthorizationFailed,
        Code::NotEnoughReplicas,
        Code::PurgeQueue,
        Code::QueueFull,
        Code::Fatal,
    ] {
        assert!(!is_unwritable(code), "{code}");
    }
}

#[test]
fn a_failure_that_is_no_answer_of_the_broker_costs_the_producer() {
    assert_eq!(fault(&KafkaError::Canceled).class, Class::Fatal);
    // The crate's own flush, before anything was committed.
    assert_eq!(fault(&KafkaError::Flush(Code::OperationTimedOut)).class, Class::Abortable);
}

#[test]
fn a_cluster_that_is_absent_is_told_with_the_setting_to_look_at() {
    let error = KafkaError::MetadataFetch(Code::BrokerTransportFailure);
    let error = stream_error("listing topics", &error);
    assert_eq!(error.kind, StreamErrorKind::Unavailable);
    assert!(error.message.starts_with("listing topics: no broker answers"), "{error}");
    assert!(error.message.contains("log.kafka.brokers"), "{error}");
}
