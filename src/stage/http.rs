//! The way out of `call`: one request, its bounds, and its attempt. A service's answer is hostile until read: its size
//! and its time are bounded, redirects are not followed, and what an event brings can't change where a request goes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::base::clock::Clock;
use crate::base::retry::retry_after;
use crate::base::template::Template;
use crate::event::cost::{Attempt, CostLine};
use crate::event::ids::{AttemptId, Digest};
use crate::event::usage::Usage;
use crate::model::Call;
use crate::model::connections::{AGENT, Broken, Connections, NO_CERTIFICATES, STREAMS};

use super::{BuildError, StageError, StageErrorKind};

/// The largest answer that is read.
pub const MAX_ANSWER: usize = 4 << 20;

/// Where a request goes: literal up to the path.
#[derive(Clone, Debug)]
pub struct Target {
    url: Template,
    origin: Arc<Url>,
}

impl Target {
    /// None when scheme, host or port can't be read, or are not literal.
    pub fn new(url: Template) -> Option<Self> {
        let source = url.source();
        let authority = source.find("://")? + 3;
        let end =
            source[authority..].find(['/', '?', '#']).map_or(source.len(), |at| authority + at);
        let literal = &source[..end];
        if literal.contains(['{', '}', '@', '\\']) || literal.contains(char::is_whitespace) {
            return None;
        }
        let origin = Url::parse(literal).ok().filter(|u| matches!(u.scheme(), "http" | "https"))?;
        Some(Target { url, origin: Arc::new(origin) })
    }

    /// As written.
    pub fn source(&self) -> &str {
        self.url.source()
    }

    /// The address for one event. A path that climbs is refused: `..` from an event must not reach another resource.
    pub fn render(&self, scope: &minijinja::Value) -> Result<Url, StageError> {
        let refused = |why: &str| StageError::permanent("unsafe-url", format!("`url` gives {why}"));
        let text = self.url.render(scope)?;
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(refused("a blank, a backslash or a control character"));
        }
        let path = text.split(['?', '#']).next().unwrap_or_default();
        if path.split('/').any(climbs) {
            return Err(refused("a path with a `.` or `..` segment"));
        }
        let url = Url::parse(&text).map_err(|_| refused("no valid address"))?;
        let here = (url.scheme(), url.host_str(), url.port_or_known_default());
        let origin = &self.origin;
        let there = (origin.scheme(), origin.host_str(), origin.port_or_known_default());
        match here == there && url.username().is_empty() && url.password().is_none() {
            true => Ok(url),
            false => Err(refused("another host than the one that is written")),
        }
    }

    fn authority(&self) -> String {
        let host = self.origin.host_str().unwrap_or_default();
        self.origin.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

fn climbs(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

/// One request.
pub struct Outgoing {
    /// Address.
    pub url: Url,
    /// Method.
    pub method: Method,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<Vec<u8>>,
}

impl Outgoing {
    /// Of everything that is asked.
    pub fn digest(&self) -> Digest {
        let Outgoing { url, method, headers, body } = self;
        let head: [&[u8]; 3] = [b"call", method.as_str().as_bytes(), url.as_str().as_bytes()];
        let named = headers.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let parts: Vec<&[u8]> = head.into_iter().chain(named).chain(body.as_deref()).collect();
        Digest::of(&parts)
    }
}

/// What a service answered.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Status, 200 to 399.
    pub status: u16,
    /// JSON when the service says so, else text; null when it is empty.
    pub body: Value,
}

/// Connections to services, shared by all stages.
#[derive(Clone)]
pub struct Http {
    /// By scheme, host and port.
    origins: Arc<Mutex<HashMap<String, Arc<Connections>>>>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

impl Http {
    /// Opens nothing yet. The clock stamps attempts.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Http { origins: Arc::default(), clock }
    }

    /// The way to where a stage sends its requests; nothing is opened yet.
    pub fn to(&self, target: &Target) -> Result<Service, BuildError> {
        let origin = target.origin.origin().ascii_serialization();
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = match origins.get(&origin) {
            Some(connections) => Arc::clone(connections),
            None => {
                let made = Connections::new(&target.origin, STREAMS * 4);
                let made = made.ok_or_else(|| BuildError("`url` is no http address".to_owned()))?;
                made.ready().map_err(|_| BuildError(NO_CERTIFICATES.to_owned()))?;
                Arc::clone(origins.entry(origin).or_insert(Arc::new(made)))
            }
        };
        Ok(Service { target: target.clone(), connections, clock: Arc::clone(&self.clock) })
    }
}

/// A service that a stage calls.
#[derive(Clone)]
pub struct Service {
    target: Target,
    connections: Arc<Connections>,
    clock: Arc<dyn Clock>,
}

impl Service {
    /// One attempt, which ends before the call's deadline.
    pub async fn send(&self, outgoing: Outgoing, call: &Call) -> Result<Answer, StageError> {
        let request = self.request(outgoing, call)?;
        let mut ticket = Ticket::open(&self.target, call, &*self.clock);
        let outcome = match timeout_at(call.deadline, self.exchange(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(StageError::transient("timeout", "the service did not answer in time")),
        };
        match &outcome {
            Ok(_) => ticket.outcome = Some("ok"),
            Err(error) if matches!(error.kind, StageErrorKind::Down(_)) => ticket.outcome = None,
            Err(error) => ticket.outcome = Some(error.code),
        }
        outcome
    }

    fn request(&self, outgoing: Outgoing, call: &Call) -> Result<Request<Full<Bytes>>, StageError> {
        let Outgoing { url, method, headers, body } = outgoing;
        let unsendable = |what| StageError::permanent("invalid-request", what);
        let request = self.connections.request(method, &url);
        let mut request = request.ok_or_else(|| unsendable("the address is too long"))?;
        *request.body_mut() = Full::from(body.unwrap_or_default());
        let map = request.headers_mut();
        map.reserve(headers.len() + 4);
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
                let message = format!("the header `{name}` gives a text that no header can hold");
                StageError::permanent("invalid-header", message)
            })?;
            let name = HeaderName::from_bytes(name.as_bytes());
            map.append(name.map_err(|_| unsendable("a header's name is none"))?, value);
        }
        let mut ours = |name: &'static str, value: &str| {
            HeaderValue::from_str(value).map(|value| map.insert(name, value)).is_ok()
        };
        if !ours("idempotency-key", &call.key.to_string()) {
            return Err(unsendable("the event's key fits no header"));
        }
        if let Some(traceparent) = &call.traceparent {
            ours("traceparent", traceparent);
        }
        map.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        map.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        Ok(request)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, StageError> {
        let answer = self.connections.send(request, MAX_ANSWER).await;
        let answer = answer.map_err(|why| broken(why, &self.target))?;
        let status = answer.status();
        if !status.is_success() && !status.is_redirection() {
            return Err(refused(&answer, self.clock.now()));
        }
        let json = is_json(answer.headers());
        Ok(Answer { status: status.as_u16(), body: decode(answer.into_body(), json)? })
    }
}

fn broken(why: Broken, target: &Target) -> StageError {
    match why {
        Broken::NoCertificates => StageError::permanent("no-certificates", NO_CERTIFICATES),
        Broken::Connect(_) => StageError {
            kind: StageErrorKind::Down(target.authority().into()),
            code: "unreachable",
            message: "nobody answers at the service's address".to_owned(),
            retry_after: None,
        },
        Broken::Unanswered | Broken::Cut => {
            StageError::transient("transport", "the connection to the service broke")
        }
        Broken::TooLarge => StageError::permanent(
            "answer-too-large",
            format!("the service's answer has more than {MAX_ANSWER} bytes"),
        ),
    }
}

fn refused(answer: &Response<Bytes>, now: i64) -> StageError {
    let status = answer.status();
    let message = format!("the service answered with status {}", status.as_u16());
    let again = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
    if !again {
        return StageError::permanent("service-refused", message);
    }
    let code = match status {
        StatusCode::TOO_MANY_REQUESTS => "rate-limited",
        _ => "overloaded",
    };
    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = asked.and_then(|text| retry_after(text, now));
    StageError { retry_after, ..StageError::transient(code, message) }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

fn decode(bytes: Bytes, json: bool) -> Result<Value, StageError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if json {
        return serde_json::from_slice(&bytes).map_err(|_| {
            StageError::transient(
                "malformed-reply",
                "the service's answer is not the JSON it claims",
            )
        });
    }
    String::from_utf8(bytes.into())
        .map(Value::String)
        .map_err(|_| StageError::permanent("not-text", "the service's answer is not UTF-8 text"))
}

/// Writes the attempt when it goes, also when the call is given up in the middle.
struct Ticket<'c> {
    call: &'c Call,
    clock: &'c dyn Clock,
    provider: String,
    url: String,
    started_at: i64,
    start: Instant,
    /// None when no request left: nobody listened.
    outcome: Option<&'static str>,
}

impl<'c> Ticket<'c> {
    fn open(target: &Target, call: &'c Call, clock: &'c dyn Clock) -> Self {
        Ticket {
            call,
            clock,
            provider: target.authority(),
            url: target.source().to_owned(),
            started_at: clock.now(),
            start: Instant::now(),
            outcome: Some("cancelled"),
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let Some(outcome) = self.outcome else { return };
        let duration = self.start.elapsed().as_micros();
        let provider: Arc<str> = std::mem::take(&mut self.provider).into();
        let attempt = Attempt {
            id: AttemptId::from_draw(self.clock.draw()),
            stage: self.call.key.stage.clone(),
            item: self.call.key.item,
            number: self.call.attempt,
            operation: "call",
            account: Arc::clone(&provider),
            provider,
            request_model: std::mem::take(&mut self.url).into(),
            response_model: None,
            provider_request_id: None,
            batch_id: None,
            usage: Usage::default(),
            amount: None,
            lines: vec![CostLine {
                unit: "requests".into(),
                quantity: 1,
                unit_price: None,
                per: 1,
            }],
            price_status: "unpriced",
            catalogue: None,
            outcome: outcome.into(),
            finish_reason: None,
            started_at: self.started_at,
            duration_us: i64::try_from(duration).unwrap_or(i64::MAX),
            ttfc_us: None,
            decision: None,
        };
        self.call.journal.ended(&attempt);
        self.call.meter.record(attempt);
    }
}
