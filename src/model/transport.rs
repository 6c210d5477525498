//! HTTP out: the one file that knows the client library. It posts a body and brings back a whole reply or the class of
//! what went wrong. The library is the bare one: layers for redirects, proxies, retries and cookies cost a twentieth of
//! the engine's time, and none of them is wanted here.
//!
//! **Lanes.** Connections belong to the runtime that opened them, so each thread gets clients of its own, made at its
//! first call. Over TLS, HTTP/2 carries at most some hundred streams a connection: then a thread has several clients,
//! taken in turn. Without TLS a call drives its connection itself: see [`super::wire`].
//!
//! It follows no redirect, uses no proxy, reads no environment, retries nothing, and puts neither address nor header
//! into an error.

use std::error::Error as _;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::thread::ThreadId;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use reqwest::Url;
use tokio::time::timeout;
use tower_service::Service;

use super::ModelErrorKind;
use super::dialect;
use super::wire::{Broken, Wire};
use crate::base::secret::Secret;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Time to open a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an idle connection is kept: longer than the gaps between calls, shorter than servers commonly keep theirs.
const IDLE: Duration = Duration::from_secs(90);
/// Silence after which the system asks whether the other end of a connection still lives.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Largest reply that is read.
pub const LARGEST_REPLY: usize = 16 * 1024 * 1024;
/// Calls that share a client where HTTP/2 is offered.
const STREAMS: usize = 100;
/// Most clients of a thread.
const MOST_CLIENTS: usize = 64;

/// Connections to one provider.
pub struct Transport {
    lanes: RwLock<Vec<(ThreadId, Arc<Lane>)>>,
    secure: bool,
    fan: usize,
    base: Url,
}

struct Lane {
    clients: Vec<Client>,
    turn: AtomicUsize,
}

/// Over TLS, or not: then no root certificates are wanted, and a machine that has none can still call its own servers.
enum Client {
    Plain(Wire),
    Secure(legacy::Client<Patient<HttpsConnector<HttpConnector>>, Full<Bytes>>),
}

/// A prepared place to post to.
pub struct Place {
    uri: Uri,
    headers: HeaderMap,
}

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
        let secure = match base.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("neither http nor https")),
        };
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong("an address with a name or password in it; use `api_key`"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong("an address with a `?` or `#` in it"));
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        let fan = match secure {
            true => max_in_flight.unwrap_or(STREAMS * 4).div_ceil(STREAMS).clamp(1, MOST_CLIENTS),
            false => 1,
        };
        let transport = Transport { lanes: RwLock::new(Vec::new()), secure, fan, base };
        transport.lane().map_err(|error| error.what.to_owned())?;
        Ok(transport)
    }

    /// A place below the base address.
    pub fn place(&self, path: &str, headers: &[(&'static str, Secret)]) -> Result<Place, String> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let mut map = HeaderMap::with_capacity(headers.len() + 6);
        map.insert("content-type", HeaderValue::from_static("application/json"));
        map.insert("accept", HeaderValue::from_static("application/json"));
        let agent = concat!("vivremotion/", env!("CARGO_PKG_VERSION"));
        map.insert("user-agent", HeaderValue::from_static(agent));
        for (name, value) in headers {
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
                format!("the value of header `{name}` has characters that no header may have")
            })?;
            value.set_sensitive(true);
            map.insert(HeaderName::from_static(name), value);
        }
        let long = || "`base_url` is too long".to_owned();
        let mut uri: Uri = url.as_str().parse().map_err(|_| long())?;
        if !self.secure {
            // A connection of our own wants the path and the host apart.
            let host = uri.authority().map_or("", |authority| authority.as_str());
            map.insert("host", HeaderValue::from_str(host).map_err(|_| long())?);
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            uri = path.parse().map_err(|_| long())?;
        }
        Ok(Place { uri, headers: map })
    }

    /// Posts a body. `extra` headers that can't be sent are left out.
    pub async fn post(
        &self,
        place: &Place,
        body: Vec<u8>,
        extra: &[(&'static str, &str)],
    ) -> Result<Received, TransportError> {
        let lane = self.lane()?;
        let turn = lane.turn.fetch_add(1, Ordering::Relaxed) % lane.clients.len().max(1);
        let Some(client) = lane.clients.get(turn) else { return Err(NO_CLIENT) };
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = place.uri.clone();
        *request.headers_mut() = place.headers.clone();
        for (name, value) in extra {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        match client {
            Client::Plain(wire) => {
                let (parts, body) =
                    wire.send(request, LARGEST_REPLY).await.map_err(broken)?.into_parts();
                let (status, headers) = (parts.status.as_u16(), ReceivedHeaders(parts.headers));
                Ok(Received { status, headers, body })
            }
            Client::Secure(client) => {
                let asked = client.request(request).await;
                whole(asked.map_err(|error| unanswered(&error))?).await
            }
        }
    }

    /// The clients of this thread.
    fn lane(&self) -> Result<Arc<Lane>, TransportError> {
        let me = std::thread::current().id();
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, lane)) = lanes.iter().find(|(thread, _)| *thread == me) {
            return Ok(Arc::clone(lane));
        }
        drop(lanes);
        let clients = (0..self.fan).map(|_| client(&self.base)).collect::<Result<_, _>>()?;
        let lane = Arc::new(Lane { clients, turn: AtomicUsize::new(0) });
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        lanes.push((me, Arc::clone(&lane)));
        Ok(lane)
    }
}

const NO_CLIENT: TransportError = TransportError {
    kind: ModelErrorKind::Unreachable,
    what: "can't be called over TLS: this machine has no root certificates; install its `ca-certificates`",
    sent: false,
};

fn client(base: &Url) -> Result<Client, TransportError> {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    if base.scheme() == "http" {
        let to = base.as_str().parse().map_err(|_| NO_CLIENT)?;
        return Ok(Client::Plain(Wire::new(Patient(tcp), to, IDLE)));
    }
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
    tcp.enforce_http(false);
    let tls = HttpsConnectorBuilder::new()
        .with_provider_and_platform_verifier(rustls::crypto::aws_lc_rs::default_provider())
        .map_err(|_| NO_CLIENT)?;
    let connector = tls.https_only().enable_all_versions().wrap_connector(tcp);
    Ok(Client::Secure(builder.build(Patient(connector))))
}

/// The whole body, or what cut it short.
async fn whole(response: Response<Incoming>) -> Result<Received, TransportError> {
    let (parts, body) = response.into_parts();
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse().ok()).is_some_and(|n: usize| n > LARGEST_REPLY) {
        return Err(TOO_LARGE);
    }
    let body = match Limited::new(body, LARGEST_REPLY).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(TOO_LARGE),
        Err(_) => return Err(CUT),
    };
    Ok(Received { status: parts.status.as_u16(), headers: ReceivedHeaders(parts.headers), body })
}

const TOO_LARGE: TransportError = TransportError {
    kind: ModelErrorKind::Malformed,
    what: "sent a reply of more than 16 MiB",
    sent: true,
};

const CUT: TransportError = TransportError {
    kind: ModelErrorKind::Malformed,
    what: "broke the connection in the middle of its answer",
    sent: true,
};

const UNANSWERED: TransportError = TransportError {
    kind: ModelErrorKind::Transport,
    what: "broke the connection before it answered",
    sent: true,
};

fn broken(error: Broken) -> TransportError {
    match error {
        Broken::Connect(cause) => unreachable(Some(&*cause)),
        Broken::Unanswered => UNANSWERED,
        Broken::Cut => CUT,
        Broken::TooLarge => TOO_LARGE,
    }
}

fn unanswered(error: &legacy::Error) -> TransportError {
    if error.is_connect() { unreachable(error.source()) } else { UNANSWERED }
}

fn unreachable(cause: Option<&(dyn std::error::Error + 'static)>) -> TransportError {
    let what = match refused(cause) {
        true => "can't be reached: connection refused",
        false => "can't be reached: no connection",
    };
    TransportError { kind: ModelErrorKind::Unreachable, what, sent: false }
}

fn refused(mut cause: Option<&(dyn std::error::Error + 'static)>) -> bool {
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A connector whose connections, TLS included, are made in time or not at all.
#[derive(Clone)]
pub(super) struct Patient<C>(pub(super) C);

impl<C> Service<Uri> for Patient<C>
where
    C: Service<Uri>,
    C::Error: Into<Cause>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = Cause;
    type Future = BoxFuture<'static, Result<C::Response, Cause>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.0.call(to);
        Box::pin(async move { timeout(CONNECT, connecting).await?.map_err(Into::into) })
    }
}
