//! What the client's failures mean. Hosts and metadata stay out of the text.

use ::qdrant_client::QdrantError;

use crate::context::memory::{MemoryError, MemoryErrorKind};

/// Codes of gRPC.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const ALREADY_EXISTS: i32 = 6;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const FAILED_PRECONDITION: i32 = 9;
    pub(super) const OUT_OF_RANGE: i32 = 11;
    pub(super) const UNIMPLEMENTED: i32 = 12;
    pub(super) const INTERNAL: i32 = 13;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// Longest text of a server that is passed on.
const PASSED_ON: usize = 300;

pub(super) fn invalid(message: String) -> MemoryError {
    MemoryError { kind: MemoryErrorKind::Invalid, message }
}

/// Whether it failed only because what it makes is there.
pub(super) fn is_there_already(error: &QdrantError) -> bool {
    let QdrantError::ResponseError { status } = error else { return false };
    // Servers before 1.10 called it an invalid argument.
    status.code() as i32 == code::ALREADY_EXISTS || status.message().contains("already exists")
}

/// Classes a failed request on a collection.
pub(super) fn failed(collection: &str, error: QdrantError) -> MemoryError {
    use MemoryErrorKind::{Invalid, Transient, Unavailable};
    let (kind, message) = match &error {
        QdrantError::ResponseError { status } => {
            let text: String = status.message().chars().take(PASSED_ON).collect();
            match status.code() as i32 {
                // The client's own words for a connection that could not be made.
                code::INTERNAL if text.starts_with("Failed to connect") => {
                    (Unavailable, "qdrant is not reachable".to_owned())
                }
                code::UNAVAILABLE => (Unavailable, "qdrant is not reachable".to_owned()),
                code::UNAUTHENTICATED | code::PERMISSION_DENIED => (
                    Unavailable,
                    "qdrant refused the access: see `memory.qdrant.api_key`".to_owned(),
                ),
                code::NOT_FOUND => {
                    (Invalid, format!("there is no collection `{collection}` in qdrant"))
                }
                code::INVALID_ARGUMENT
                | code::ALREADY_EXISTS
                | code::FAILED_PRECONDITION
                | code::OUT_OF_RANGE
                | code::UNIMPLEMENTED => (
                    Invalid,
                    format!("qdrant refused a request on collection `{collection}`: {text}"),
                ),
                _ => (Transient, format!("qdrant failed on collection `{collection}`: {text}")),
            }
        }
        QdrantError::ResourceExhaustedError { .. } => {
            (Transient, format!("qdrant has too much to do for collection `{collection}`"))
        }
        QdrantError::ConversionError(_) | QdrantError::InvalidUri(_) => {
            (Invalid, format!("qdrant can't be asked about collection `{collection}`"))
        }
        _ => (Transient, format!("the request on collection `{collection}` broke")),
    };
    MemoryError { kind, message }
}
