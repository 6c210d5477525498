//! The mock server's life: bind, serve, stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ledger::{Entry, Ledger, Line};
use super::{Config, Script, Summary, chat, embeddings, reply};
use crate::base::clock::{Clock, SystemClock};
use crate::model::simulated::behaviour::{Behaviour, Fault};
use crate::model::simulated::mix;

/// Connections that may wait to be taken: thousands open at once.
const BACKLOG: u32 = 4096;
/// Largest request.
const LARGEST: usize = 64 * 1024 * 1024;
/// How long a stop waits for connections to close.
const PATIENCE: Duration = Duration::from_secs(3);

/// A server that runs on the runtime it was started on; it stops when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// `http://host:port`.
    pub url: String,
    /// The address of the OpenAI dialect: what a provider's `base_url` is.
    pub base_url: String,
    /// Its account of every call.
    pub ledger: Ledger,
    stop: watch::Sender<bool>,
    serving: JoinSet<()>,
}

impl Running {
    /// Stops: open calls are cut, connections closed, the port is free after.
    pub async fn shutdown(mut self) {
        // Nobody listening means that it has ended already.
        let _ = self.stop.send(true);
        if tokio::time::timeout(PATIENCE, self.serving.join_next()).await.is_err() {
            self.serving.abort_all();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // As above.
        let _ = self.stop.send(true);
        self.serving.abort_all();
    }
}

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Server(Arc<Shared>);

pub(super) struct Shared {
    pub(super) behaviour: Behaviour,
    pub(super) script: Script,
    pub(super) dimensions: Option<u32>,
    seed: u64,
    ledger: Ledger,
    stop: watch::Receiver<bool>,
}

impl std::ops::Deref for Server {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Wall time of the server.
pub(super) fn now() -> i64 {
    SystemClock.now()
}

/// Starts a server.
pub async fn start(config: Config) -> std::io::Result<Running> {
    let listener = listen(&config.listen)?;
    let url = format!("http://{}", listener.local_addr()?);
    let ledger = Ledger::new(config.keep, config.ledger.as_deref())?;
    let (stop, stopped) = watch::channel(false);
    let shared = Shared {
        behaviour: config.behaviour,
        script: config.script,
        dimensions: config.dimensions,
        seed: config.seed,
        ledger: ledger.clone(),
        stop: stopped.clone(),
    };
    let router = Router::new()
        .route("/", get(health))
        .route("/ledger", get(whole_ledger))
        .route("/ledger/summary", get(summary))
        .route("/v1/chat/completions", post(chat::post))
        .route("/v1/embeddings", post(embeddings::post))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Server(Arc::new(shared)));
    let listener = listener.tap_io(|socket| {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a socket kept its delay");
        }
    });
    let serve = axum::serve(listener, router).with_graceful_shutdown(until(stopped));
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        if let Err(error) = serve.await {
            tracing::warn!(%error, "the mock server ended");
        }
    });
    Ok(Running { base_url: format!("{url}/v1"), url, ledger, stop, serving })
}

fn listen(address: &str) -> std::io::Result<TcpListener> {
    let wrong = |_| {
        let text = format!("`{address}` is no address to listen on, such as `127.0.0.1:8089`");
        std::io::Error::new(std::io::ErrorKind::InvalidInput, text)
    };
    let address: SocketAddr = address.parse().map_err(wrong)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Resolves when the server is told to stop, or nobody can tell it any more.
async fn until(mut stop: watch::Receiver<bool>) {
    // An error is the sender gone: the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Shared {
    pub(super) fn begin(
        &self,
        operation: &'static str,
        model: &str,
        prompt: String,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Line {
        let header =
            |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let digest = blake3::hash(body).to_hex();
        let entry = Entry {
            operation,
            model: model.to_owned(),
            digest: digest.get(..32).unwrap_or_default().to_owned(),
            prompt,
            idempotency_key: header("idempotency-key"),
            traceparent: header("traceparent"),
            ..Entry::default()
        };
        self.ledger.begin(entry, now)
    }

    /// Random bits of a call: the same for the same seed and the same order of calls.
    pub(super) fn draw(&self, line: &Line) -> u64 {
        mix(self.seed ^ mix(line.ordinal()))
    }

    /// Waits as long as drawn, or for ever; false when the server stops meanwhile.
    pub(super) async fn wait(&self, latency: Duration, fault: Option<Fault>) -> bool {
        let hangs = fault == Some(Fault::Hang);
        if latency.is_zero() && !hangs {
            return true;
        }
        let over = async {
            tokio::time::sleep(latency).await;
            if hangs {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = over => true,
            () = until(self.stop.clone()) => false,
        }
    }
}

async fn health() -> Response {
    reply::json(200, br#"{"status":"ok"}"#.to_vec())
}

#[derive(Serialize)]
struct LedgerPage {
    summary: Summary,
    entries: Vec<Entry>,
}

async fn whole_ledger(State(server): State<Server>) -> Response {
    let page = LedgerPage { summary: server.ledger.summary(), entries: server.ledger.entries() };
    reply::json(200, serde_json::to_vec(&page).unwrap_or_default())
}

async fn summary(State(server): State<Server>) -> Response {
    reply::json(200, serde_json::to_vec(&server.ledger.summary()).unwrap_or_default())
}
