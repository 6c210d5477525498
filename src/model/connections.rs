//! HTTP out: the one file that knows the client library. It sends a request and brings back a whole answer, or what kept
//! it from coming. The library is the bare one: layers for redirects, proxies, retries and cookies cost a twentieth of
//! the engine's time, and none of them is wanted here.
//!
//! **Lanes.** Connections belong to the runtime that opened them, so each thread gets clients of its own, made at its
//! first request. Over TLS, HTTP/2 carries at most some hundred streams a connection: then a thread has several clients,
//! taken in turn. Without TLS a request drives its connection itself: see [`super::wire`].
//!
//! It follows no redirect, uses no proxy, reads no environment, retries nothing, and puts neither address nor header
//! into an error.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::thread::ThreadId;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{HOST, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use reqwest::Url;
use tokio::time::timeout;
use tower_service::Service;

use super::wire::Wire;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How the product names itself to those it asks.
pub const AGENT: &str = concat!("vivremotion/", env!("CARGO_PKG_VERSION"));
/// Calls that share a client where HTTP/2 is offered.
pub const STREAMS: usize = 100;
/// Most clients of a thread.
const MOST_CLIENTS: usize = 64;
/// Time to open a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an idle connection is kept: longer than the gaps between calls, shorter than servers commonly keep theirs.
const IDLE: Duration = Duration::from_secs(90);
/// Silence after which the system asks whether the other end of a connection still lives.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Connections to one scheme, host and port.
pub struct Connections {
    lanes: RwLock<Vec<(ThreadId, Arc<Lane>)>>,
    secure: bool,
    fan: usize,
    origin: Uri,
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

/// Why there is no whole answer.
pub enum Broken {
    /// This machine has no root certificates, and they are needed.
    NoCertificates,
    /// No connection could be made: nothing left.
    Connect(Cause),
    /// It broke before the answer began.
    Unanswered,
    /// It broke within the answer.
    Cut,
    /// The answer is longer than is read.
    TooLarge,
}

/// What is said where there are none.
pub const NO_CERTIFICATES: &str =
    "this machine has no root certificates for TLS; install its `ca-certificates`";

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

impl Connections {
    /// To the scheme, host and port of an address; opens nothing yet. `at_once` tells how many clients HTTP/2 wants. None
    /// for an address that is no `http` or `https` one.
    pub fn new(to: &Url, at_once: usize) -> Option<Self> {
        let secure = match to.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let origin = to.origin().ascii_serialization().parse().ok()?;
        let fan = if secure { at_once.div_ceil(STREAMS).clamp(1, MOST_CLIENTS) } else { 1 };
        Some(Connections { lanes: RwLock::new(Vec::new()), secure, fan, origin })
    }

    /// Whether requests can be sent from here at all. The clients are made by the threads that send.
    pub fn ready(&self) -> Result<(), Broken> {
        self.client().map(drop)
    }

    /// A request for an address there. None for one that is too long.
    pub fn request(&self, method: Method, url: &Url) -> Option<Request<Full<Bytes>>> {
        let mut uri: Uri = url.as_str().parse().ok()?;
        let mut request = Request::new(Full::default());
        if !self.secure {
            // A connection of our own wants the path and the host apart.
            let host = HeaderValue::from_str(uri.authority()?.as_str()).ok()?;
            request.headers_mut().insert(HOST, host);
            uri = Uri::from(uri.path_and_query()?.clone());
        }
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        Some(request)
    }

    /// Sends what [`Connections::request`] began, and reads the whole answer, of at most so many bytes.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Response<Bytes>, Broken> {
        let lane = self.lane()?;
        let turn = lane.turn.fetch_add(1, Ordering::Relaxed) % lane.clients.len().max(1);
        match lane.clients.get(turn).ok_or(Broken::NoCertificates)? {
            Client::Plain(wire) => wire.send(request, most).await,
            Client::Secure(client) => {
                whole(client.request(request).await.map_err(unanswered)?, most).await
            }
        }
    }

    /// The clients of this thread.
    fn lane(&self) -> Result<Arc<Lane>, Broken> {
        let me = std::thread::current().id();
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, lane)) = lanes.iter().find(|(thread, _)| *thread == me) {
            return Ok(Arc::clone(lane));
        }
        drop(lanes);
        let clients = (0..self.fan).map(|_| self.client()).collect::<Result<_, _>>()?;
        let lane = Arc::new(Lane { clients, turn: AtomicUsize::new(0) });
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        lanes.push((me, Arc::clone(&lane)));
        Ok(lane)
    }

    fn client(&self) -> Result<Client, Broken> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        if !self.secure {
            return Ok(Client::Plain(Wire::new(Patient(tcp), self.origin.clone(), IDLE)));
        }
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_platform_verifier(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|_| Broken::NoCertificates)?;
        let connector = tls.https_only().enable_all_versions().wrap_connector(tcp);
        Ok(Client::Secure(builder.build(Patient(connector))))
    }
}

/// The whole body, or what cut it short. What is announced need not be read to be refused.
async fn whole(response: Response<Incoming>, most: usize) -> Result<Response<Bytes>, Broken> {
    let (parts, body) = response.into_parts();
    if body.size_hint().lower() > most as u64 {
        return Err(Broken::TooLarge);
    }
    let body = match Limited::new(body, most).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(Broken::TooLarge),
        Err(_) => return Err(Broken::Cut),
    };
    Ok(Response::from_parts(parts, body))
}

fn unanswered(error: legacy::Error) -> Broken {
    if error.is_connect() { Broken::Connect(Box::new(error)) } else { Broken::Unanswered }
}

/// Whether a connection was refused, and not merely not made.
pub fn refused(cause: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(cause), |&cause| cause.source());
    causes.any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused)
    })
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
