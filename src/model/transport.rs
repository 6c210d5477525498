//! What goes to a provider: bodies posted to places below its base address. A whole reply comes back, or the class of what
//! went wrong.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;
use reqwest::Url;

use super::ModelErrorKind;
use super::connections::{AGENT, Broken, Connections, STREAMS, refused};
use super::dialect;
use crate::base::secret::Secret;

/// Largest reply that is read.
pub const LARGEST_REPLY: usize = 16 * 1024 * 1024;

/// Connections to one provider.
pub struct Transport {
    connections: Connections,
    base: Url,
}

/// A prepared place to post to.
pub struct Place(Request<Full<Bytes>>);

/// A whole reply.
pub struct Received {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: ReceivedHeaders,
    /// Body.
    pub body: Bytes,
}

/// Headers of a reply.
pub struct ReceivedHeaders(HeaderMap);

impl dialect::Headers for ReceivedHeaders {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportError {
    /// Unreachable, Transport, Timeout or Malformed.
    pub kind: ModelErrorKind,
    /// What happened, to follow the provider's name in a sentence.
    pub what: &'static str,
    /// False when the request surely never left.
    pub sent: bool,
}

impl Transport {
    /// To a base address; opens nothing yet. `max_in_flight` tells how many clients HTTP/2 wants.
    pub fn new(base_url: &str, max_in_flight: Option<usize>) -> Result<Self, String> {
        let wrong = |why: &str| format!("`base_url` is {why}; expected such as `https://host/v1`");
        let mut base = Url::parse(base_url).map_err(|_| wrong("no address"))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong("an address with a name or password in it; use `api_key`"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong("an address with a `?` or `#` in it"));
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        let connections = Connections::new(&base, max_in_flight.unwrap_or(STREAMS * 4))
            .ok_or_else(|| wrong("neither http nor https"))?;
        connections.ready().map_err(|broken| TransportError::from(broken).what)?;
        Ok(Transport { connections, base })
    }

    /// A place below the base address.
    pub fn place(&self, path: &str, headers: &[(&'static str, Secret)]) -> Result<Place, String> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let mut request = self
            .connections
            .request(Method::POST, &url)
            .ok_or_else(|| "`base_url` is too long".to_owned())?;
        let map = request.headers_mut();
        map.reserve(headers.len() + 5);
        map.insert("content-type", HeaderValue::from_static("application/json"));
        map.insert("accept", HeaderValue::from_static("application/json"));
        map.insert("user-agent", HeaderValue::from_static(AGENT));
        for (name, value) in headers {
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
                format!("the value of header `{name}` has characters that no header may have")
            })?;
            value.set_sensitive(true);
            map.insert(HeaderName::from_static(name), value);
        }
        Ok(Place(request))
    }

    /// Posts a body. `extra` headers that can't be sent are left out.
    pub async fn post(
        &self,
        place: &Place,
        body: Vec<u8>,
        extra: &[(&'static str, &str)],
    ) -> Result<Received, TransportError> {
        let mut request = place.0.clone();
        *request.body_mut() = Full::new(Bytes::from(body));
        for (name, value) in extra {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        let answer = self.connections.send(request, LARGEST_REPLY).await?;
        let (parts, body) = answer.into_parts();
        let (status, headers) = (parts.status.as_u16(), ReceivedHeaders(parts.headers));
        Ok(Received { status, headers, body })
    }
}

impl From<Broken> for TransportError {
    fn from(broken: Broken) -> Self {
        use ModelErrorKind::{Malformed, Transport, Unreachable};
        let (kind, what, sent) = match broken {
            Broken::NoCertificates => (Unreachable, NO_CERTIFICATES, false),
            Broken::Connect(cause) if refused(&*cause) => {
                (Unreachable, "can't be reached: connection refused", false)
            }
            Broken::Connect(_) => (Unreachable, "can't be reached: no connection", false),
            Broken::Unanswered => (Transport, "broke the connection before it answered", true),
            Broken::Cut => (Malformed, "broke the connection in the middle of its answer", true),
            Broken::TooLarge => (Malformed, "sent a reply of more than 16 MiB", true),
        };
        TransportError { kind, what, sent }
    }
}

const NO_CERTIFICATES: &str = "can't be called over TLS: this machine has no root certificates; install its `ca-certificates`";
