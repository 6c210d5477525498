//! What a failure of the file means to the log's callers: the one place that decides.

use crate::base::sqlite::{SqliteError, SqliteErrorKind};
use crate::stream::{CommitError, CommitErrorKind, StreamError, StreamErrorKind};

/// For reading, sending and joining.
pub(super) fn stream(error: SqliteError) -> StreamError {
    let kind = match error.kind {
        SqliteErrorKind::Busy | SqliteErrorKind::Full => StreamErrorKind::Unavailable,
        SqliteErrorKind::Denied => StreamErrorKind::Denied,
        SqliteErrorKind::Network | SqliteErrorKind::Foreign => StreamErrorKind::Setting,
        SqliteErrorKind::Damaged | SqliteErrorKind::Other => StreamErrorKind::Fatal,
    };
    StreamError { kind, message: error.message }
}

/// For a commit: nothing of it was written.
pub(super) fn commit(error: SqliteError) -> CommitError {
    let kind = match error.kind {
        SqliteErrorKind::Busy | SqliteErrorKind::Full => CommitErrorKind::Transient,
        _ => CommitErrorKind::Fatal,
    };
    CommitError { kind, message: error.message }
}

/// A topic that must exist does not.
pub(super) fn unknown_topic(topic: &str) -> StreamError {
    let message = format!(
        "there is no topic `{topic}` in the local log; `vivremotion topics --create pipelines` makes those that pipelines need"
    );
    StreamError { kind: StreamErrorKind::UnknownTopic, message }
}

/// A thread of this log has ended: it was closed.
pub(super) fn closed() -> SqliteError {
    let message = "the local log is closed".to_owned();
    SqliteError { kind: SqliteErrorKind::Other, message }
}
