//! What an error of the client library means to us. Pure: a code and three flags in, a verdict out.
//!
//! Texts never hold the value of a setting: it may be a secret.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaConfRes;

use crate::stream::transaction::{Class, Fault, Subject};
use crate::stream::{StreamError, StreamErrorKind};

#[cfg(test)]
mod tests;

/// A failure of the log, with what was being done.
pub(super) fn stream_error(doing: &str, error: &KafkaError) -> StreamError {
    if let KafkaError::ClientConfig(result, _, name, _) = error {
        let message = match result {
            RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN => {
                format!("`{name}` is not a setting that the Kafka client knows")
            }
            _ => format!("the value of `{name}` is not one that the Kafka client takes"),
        };
        return StreamError { kind: StreamErrorKind::Setting, message };
    }
    if let KafkaError::ClientCreation(reason) = error {
        let message = format!("can't make a Kafka client for {doing}: {reason}");
        return StreamError { kind: StreamErrorKind::Setting, message };
    }
    let kind = match error.rdkafka_error_code() {
        _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => StreamErrorKind::Fatal,
        Some(code) => kind_of(code),
        None => StreamErrorKind::Unavailable,
    };
    let message = match error.rdkafka_error_code().is_some_and(is_absent) {
        true => format!(
            "{doing}: no broker answers; does the cluster run, and is `log.kafka.brokers` right?"
        ),
        false => format!("{doing}: {error}"),
    };
    StreamError { kind, message }
}

/// Whether that code says that nobody was reached at all.
fn is_absent(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve)
}

/// What to do about that code where nothing is at stake but the call itself.
pub(super) fn kind_of(code: RDKafkaErrorCode) -> StreamErrorKind {
    use RDKafkaErrorCode as Code;
    match code {
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::UnknownTopicId => StreamErrorKind::UnknownTopic,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication
        | Code::DelegationTokenAuthorizationFailed => StreamErrorKind::Denied,
        Code::InvalidConfig | Code::InvalidTopic | Code::InvalidPartitions => {
            StreamErrorKind::Setting
        }
        Code::Fatal | Code::FencedInstanceId | Code::Fenced | Code::ProducerFenced => {
            StreamErrorKind::Fatal
        }
        _ => StreamErrorKind::Unavailable,
    }
}

/// What a failed call of a transaction means.
pub(super) fn fault(error: &KafkaError) -> Fault {
    match error {
        KafkaError::Transaction(inner) => Fault {
            class: if inner.is_fatal() {
                Class::Fatal
            } else if inner.txn_requires_abort() {
                Class::Abortable
            } else if inner.is_retriable() {
                Class::Retriable
            } else {
                // The library's manual: none of the three means that the instance is spent.
                Class::Fatal
            },
            subject: subject_of(inner.code()),
            message: inner.string(),
        },
        // The crate's own flush before a commit ran out of time: nothing was committed yet.
        KafkaError::Flush(code) => Fault {
            class: Class::Abortable,
            subject: subject_of(*code),
            message: format!("records were not acknowledged in time: {code}"),
        },
        other => Fault {
            class: Class::Fatal,
            subject: other.rdkafka_error_code().map_or(Subject::Other, subject_of),
            message: other.to_string(),
        },
    }
}

/// What an error is about, beyond how to go on with the producer.
pub(super) fn subject_of(code: RDKafkaErrorCode) -> Subject {
    use RDKafkaErrorCode as Code;
    match code {
        Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::RebalanceInProgress
        | Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::StaleMemberEpoch
        | Code::AssignmentLost => Subject::Membership,
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => Subject::Producer,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication => Subject::Access,
        Code::OffsetMetadataTooLarge | Code::InvalidCommitOffsetSize => Subject::Progress,
        _ => Subject::Other,
    }
}

/// Whether a record that failed with that code can never be written as it is.
pub(super) fn is_unwritable(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidMessage
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::InvalidTopic
            | Code::InvalidArgument
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::PolicyViolation
            | Code::UnsupportedForMessageFormat
    )
}
