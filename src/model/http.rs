//! A provider over HTTP: a dialect around a transport. What it says of an error names the provider and nothing of the
//! request.

use std::sync::Arc;

use async_trait::async_trait;

use super::dialect::{Dialect, Operation, Raw, Wanted};
use super::target::{Answer, Bill, Target};
use super::transport::{Place, Received, Transport, TransportError};
use super::{Call, ChatReply, ChatRequest, EmbedRequest, ModelError};
use crate::base::clock::Clock;
use crate::base::secret::Secret;

/// What all models of a provider share.
pub struct HttpProvider {
    /// Its name in the settings.
    pub name: Arc<str>,
    /// Its language.
    pub dialect: Arc<dyn Dialect>,
    /// Its connections.
    pub transport: Arc<Transport>,
    /// Wall time, for a `Retry-After` that is a date.
    pub clock: Arc<dyn Clock>,
}

/// One model of a provider.
pub struct HttpTarget {
    provider: Arc<HttpProvider>,
    wanted: Wanted,
    chat: Place,
    embed: Place,
}

impl HttpTarget {
    /// Prepares the places that calls go to.
    pub fn new(
        provider: Arc<HttpProvider>,
        wanted: Wanted,
        key: Option<&Secret>,
    ) -> Result<Self, String> {
        let place = |operation| {
            let endpoint = provider.dialect.endpoint(&wanted, operation, key);
            provider.transport.place(&endpoint.path, &endpoint.headers)
        };
        let (chat, embed) = (place(Operation::Chat)?, place(Operation::Embed)?);
        Ok(HttpTarget { provider, wanted, chat, embed })
    }

    async fn ask(
        &self,
        place: &Place,
        body: Vec<u8>,
        call: &Call,
    ) -> Result<Received, TransportError> {
        let key = idempotency_key(call, &body);
        let mut extra = vec![("idempotency-key", key.as_str())];
        if let Some(parent) = &call.traceparent {
            extra.push(("traceparent", parent));
        }
        self.provider.transport.post(place, body, &extra).await
    }

    fn understood<T>(
        &self,
        received: Result<Received, TransportError>,
        read: impl FnOnce(&Raw<'_>) -> Answer<T>,
    ) -> Answer<T> {
        let mut answer = match received {
            Ok(Received { status, headers, body }) => {
                let now = self.provider.clock.now();
                read(&Raw { status, headers: &headers, body: &body, now })
            }
            Err(TransportError { kind, what, sent }) => {
                let bill = if sent { Bill::Unknown } else { Bill::NeverSent };
                let error = ModelError { kind, message: what.to_owned(), retry_after: None };
                Answer::failed(error, bill)
            }
        };
        if let Err(error) = &mut answer.result {
            error.message = format!("provider `{}` {}", self.provider.name, error.message);
        }
        answer
    }
}

/// The same for the same attempt after a crash, another for every retry: event, stage, item, attempt, and a digest of the
/// body, since a stage may ask several things.
fn idempotency_key(call: &Call, body: &[u8]) -> String {
    let digest = blake3::hash(body).to_hex();
    format!("{}/{}/{}", call.key, call.attempt, digest.get(..8).unwrap_or_default())
}

#[async_trait]
impl Target for HttpTarget {
    async fn chat(&self, request: &ChatRequest, call: &Call) -> Answer<ChatReply> {
        let body = self.provider.dialect.chat(&self.wanted, request);
        let received = self.ask(&self.chat, body, call).await;
        self.understood(received, |raw| self.provider.dialect.chat_reply(raw))
    }

    async fn embed(&self, request: &EmbedRequest, call: &Call) -> Answer<Vec<Vec<f32>>> {
        let body = self.provider.dialect.embed(&self.wanted, request);
        let received = self.ask(&self.embed, body, call).await;
        let texts = request.texts.len();
        self.understood(received, |raw| self.provider.dialect.embed_reply(raw, texts))
    }
}
