//! The way out of `call`: one request, its bounds, and its attempt. A service's answer is hostile until read: its size
//! and its time are bounded, redirects are not followed, and what an event brings can't change where a request goes.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, ThreadId};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url};
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

use super::{StageError, StageErrorKind};

/// The largest answer that is read.
pub const MAX_ANSWER: usize = 4 << 20;
/// Idle connections kept to one host by a thread: fewer than calls in flight would mean to open most of them anew, each at
/// the price of several calls.
const MAX_IDLE: usize = 10_000;
const IDLE: Duration = Duration::from_secs(60);

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

/// Connections to services, shared by all stages. They belong to the runtime that opened them, so each thread has a
/// client of its own, made at its first call.
#[derive(Clone)]
pub struct Http {
    clients: Arc<RwLock<Vec<(ThreadId, bool, Client)>>>,
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
        Http { clients: Arc::default(), clock }
    }

    fn client(&self, secure: bool) -> Result<Client, StageError> {
        let me = thread::current().id();
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        let mine = clients.iter().find(|(thread, tls, _)| *thread == me && *tls == secure);
        if let Some((_, _, client)) = mine {
            return Ok(client.clone());
        }
        drop(clients);
        let made = client(secure)?;
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        clients.push((me, secure, made.clone()));
        Ok(made)
    }

    /// One attempt, which ends before the call's deadline.
    pub async fn send(
        &self,
        outgoing: Outgoing,
        target: &Target,
        call: &Call,
    ) -> Result<Answer, StageError> {
        let client = self.client(outgoing.url.scheme() == "https")?;
        let request = request(&client, outgoing, call)?;
        let mut ticket = Ticket::open(target, call, &*self.clock);
        let exchange = exchange(&client, request, target, self.clock.now());
        let outcome = match timeout_at(call.deadline, exchange).await {
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
}

/// No proxies, no redirects, no retries: a request goes where the pipeline file says, once. Without TLS no root
/// certificates are wanted, so that a machine without any can still call its own services.
fn client(secure: bool) -> Result<Client, StageError> {
    let builder = Client::builder()
        .user_agent(concat!("vivremotion/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(MAX_IDLE)
        .pool_idle_timeout(IDLE);
    let builder = if secure { builder } else { builder.tls_certs_only([]) };
    builder.build().map_err(|_| {
        let message =
            "this machine has no root certificates for TLS; install its `ca-certificates`";
        StageError::permanent("no-certificates", message)
    })
}

fn request(
    client: &Client,
    outgoing: Outgoing,
    call: &Call,
) -> Result<reqwest::Request, StageError> {
    let Outgoing { url, method, headers, body } = outgoing;
    let mut request = client.request(method, url);
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            let message = format!("the header `{name}` gives a text that no header can hold");
            StageError::permanent("invalid-header", message)
        })?;
        request = request.header(name, value);
    }
    request = request.header("idempotency-key", call.key.to_string());
    if let Some(traceparent) = &call.traceparent {
        request = request.header("traceparent", &**traceparent);
    }
    if let Some(body) = body {
        request = request.body(body);
    }
    let unsendable = "the request can't be put together";
    request.build().map_err(|_| StageError::permanent("invalid-request", unsendable))
}

async fn exchange(
    client: &Client,
    request: reqwest::Request,
    target: &Target,
    now: i64,
) -> Result<Answer, StageError> {
    let response = client.execute(request).await.map_err(|error| broken(&error, target))?;
    let status = response.status();
    if !status.is_success() && !status.is_redirection() {
        return Err(refused(&response, now));
    }
    let json = is_json(&response);
    let bytes = read(response, target).await?;
    Ok(Answer { status: status.as_u16(), body: decode(bytes, json)? })
}

fn broken(error: &reqwest::Error, target: &Target) -> StageError {
    match error.is_connect() {
        true => StageError {
            kind: StageErrorKind::Down(target.authority().into()),
            code: "unreachable",
            message: "nobody answers at the service's address".to_owned(),
            retry_after: None,
        },
        false => StageError::transient("transport", "the connection to the service broke"),
    }
}

fn refused(response: &Response, now: i64) -> StageError {
    let status = response.status();
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
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = asked.and_then(|text| retry_after(text, now));
    StageError { retry_after, ..StageError::transient(code, message) }
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

async fn read(mut response: Response, target: &Target) -> Result<Vec<u8>, StageError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error, target))? {
        if bytes.len() + chunk.len() > MAX_ANSWER {
            return Err(StageError::permanent(
                "answer-too-large",
                format!("the service's answer has more than {MAX_ANSWER} bytes"),
            ));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn decode(bytes: Vec<u8>, json: bool) -> Result<Value, StageError> {
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
    String::from_utf8(bytes)
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
