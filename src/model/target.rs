//! One model of one provider, bare: it asks once and says what came of it and what was billed. Money, limits and
//! records of attempts are around it, in [`member`](super::member).

use async_trait::async_trait;

use super::{Call, ChatReply, ChatRequest, EmbedRequest, ModelError};
use crate::event::usage::Usage;

/// Something that can be asked once.
#[async_trait]
pub trait Target: Send + Sync {
    /// Asks. The caller ends it at the deadline by dropping it.
    async fn chat(&self, request: &ChatRequest, call: &Call) -> Answer<ChatReply>;
    /// Asks for one vector per text, in order.
    async fn embed(&self, request: &EmbedRequest, call: &Call) -> Answer<Vec<Vec<f32>>>;
}

/// What came of asking.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The answer, or why there is none.
    pub result: Result<T, ModelError>,
    /// What the provider takes for it.
    pub bill: Bill,
    /// Model that answered.
    pub response_model: Option<String>,
    /// The provider's id of the call.
    pub request_id: Option<String>,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
}

/// What the provider takes for a call, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bill {
    /// The request never left: there is no attempt to record.
    NeverSent,
    /// Refused, hence nothing.
    Nothing,
    /// These tokens, by its own word.
    Used(Usage),
    /// It answered and did not say.
    Unreported,
    /// Nobody knows whether it worked for us.
    Unknown,
}

impl<T> Answer<T> {
    /// No answer.
    pub fn failed(error: ModelError, bill: Bill) -> Self {
        Answer {
            result: Err(error),
            bill,
            response_model: None,
            request_id: None,
            finish_reason: None,
        }
    }
}
