//! Connections without TLS, each driven by the call that uses it: no task of its own, so no hop between two tasks for
//! each request and each answer. A connection carries one call at a time and is kept for the next; while a call waits it
//! holds no memory but the socket's. HTTP/1.1 is spoken here and understood in [`super::answer`]: a client library costs
//! nearly twice the time, and 26 KB for each call that waits.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::ErrorKind::WouldBlock;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service;

use super::answer::{Answer, Whole};
use super::connections::{Broken, Patient};

/// Bodies up to this size leave together with their head.
const TOGETHER: usize = 64 << 10;

/// Connections to one place, of one thread.
pub(super) struct Wire {
    connector: Patient<HttpConnector>,
    to: Uri,
    /// How long one that is not used is kept.
    keep: Duration,
    idle: Mutex<VecDeque<Open>>,
}

/// One connection.
struct Open {
    socket: TcpStream,
    since: Instant,
}

/// Why a request has no answer.
enum Failed {
    /// No byte of it left.
    Unsent,
    Broken(Broken),
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        Failed::Broken(broken)
    }
}

impl Wire {
    /// To the host and port of an address; opens nothing yet.
    pub fn new(connector: Patient<HttpConnector>, to: Uri, keep: Duration) -> Self {
        Wire { connector, to, keep, idle: Mutex::default() }
    }

    /// Sends it, and reads the whole answer, of at most so many bytes.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Response<Bytes>, Broken> {
        let (parts, body) = request.into_parts();
        // A body that is there whole comes at once, and can't fail.
        let body = body.collect().await.unwrap_or_default().to_bytes();
        let head_only = parts.method == Method::HEAD;
        let message = message(&parts.method, &parts.uri, &parts.headers, &body);
        let rest = if body.len() > TOGETHER { body } else { Bytes::new() };
        // Each connection that was closed meanwhile is one less; a new one is not tried twice.
        loop {
            let kept = self.take();
            let fresh = kept.is_none();
            let mut open = match kept {
                Some(open) => open,
                None => self.connect().await?,
            };
            match open.ask(&message, &rest, Answer::to(head_only, most)).await {
                Ok(Whole { response, keeps }) => {
                    if keeps {
                        self.put_back(open);
                    }
                    return Ok(response);
                }
                Err(Failed::Unsent) if !fresh => {}
                Err(Failed::Unsent) => return Err(Broken::Unanswered),
                Err(Failed::Broken(broken)) => return Err(broken),
            }
        }
    }

    /// The one used last, which is the least likely to have been closed.
    fn take(&self) -> Option<Open> {
        let open = self.idle().pop_back()?;
        (open.since.elapsed() < self.keep).then_some(open)
    }

    fn put_back(&self, mut open: Open) {
        open.since = Instant::now();
        let mut idle = self.idle();
        idle.push_back(open);
        // Those that have not been used for long are closed, two for one.
        for _ in 0..2 {
            if idle.front().is_some_and(|oldest| oldest.since.elapsed() >= self.keep) {
                drop(idle.pop_front());
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Open>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Open, Broken> {
        let mut connector = self.connector.clone();
        let ready = poll_fn(|context| connector.poll_ready(context)).await;
        ready.map_err(Broken::Connect)?;
        let socket = connector.call(self.to.clone()).await.map_err(Broken::Connect)?;
        Ok(Open { socket: socket.into_inner(), since: Instant::now() })
    }
}

impl Open {
    /// Sends a request and reads its answer.
    async fn ask(
        &mut self,
        message: &[u8],
        rest: &[u8],
        mut answer: Answer,
    ) -> Result<Whole, Failed> {
        // It was closed, or something came that nobody had asked for.
        if !matches!(self.socket.try_read(&mut [0]), Err(error) if error.kind() == WouldBlock) {
            return Err(Failed::Unsent);
        }
        let sent = self.say(message, rest, &mut answer).await?;
        loop {
            if let Some(mut whole) = answer.take()? {
                // An answer to half a request is one, but what is left of the request can't be taken back.
                whole.keeps &= sent;
                return Ok(whole);
            }
            // Without a buffer of its own until there is something to read.
            let ready = self.socket.readable().await;
            answer.room();
            match ready.and(self.socket.read_buf(&mut answer.buffer).await) {
                Ok(0) => return Ok(answer.end()?),
                Ok(_) => {}
                Err(_) if answer.is_blank() => return Err(Broken::Unanswered.into()),
                Err(_) => return Err(Broken::Cut.into()),
            }
        }
    }

    /// Sends a request. False when the answer came, or the other end went, before all of it had left.
    async fn say(
        &mut self,
        message: &[u8],
        rest: &[u8],
        answer: &mut Answer,
    ) -> Result<bool, Failed> {
        let mut left = 0;
        for part in [message, rest] {
            let mut part = part;
            while !part.is_empty() {
                match self.socket.try_write(part) {
                    Ok(written) => {
                        left += written;
                        part = &part[written..];
                    }
                    Err(error) if error.kind() == WouldBlock => {
                        if self.heard(answer).await {
                            return Ok(false);
                        }
                    }
                    Err(_) if left == 0 => return Err(Failed::Unsent),
                    // It may have answered before it went.
                    Err(_) => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// Waits until more can be written. True when there is something to read before.
    async fn heard(&mut self, answer: &mut Answer) -> bool {
        loop {
            tokio::select! {
                writable = self.socket.writable() => return writable.is_err(),
                _ = self.socket.readable() => {
                    answer.room();
                    match self.socket.try_read_buf(&mut answer.buffer) {
                        Err(error) if error.kind() == WouldBlock => {}
                        Ok(_) | Err(_) => return true,
                    }
                }
            }
        }
    }
}

/// The head of a request, and its body unless that is long. How the body ends is said here alone.
fn message(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> BytesMut {
    let place = uri.path_and_query().map_or("/", |place| place.as_str());
    let fields: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let together = if body.len() > TOGETHER { 0 } else { body.len() };
    let mut message = BytesMut::with_capacity(place.len() + fields + together + 64);
    for part in [method.as_str(), " ", place, " HTTP/1.1\r\n"] {
        message.extend_from_slice(part.as_bytes());
    }
    for (name, value) in headers {
        if ![CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(name) {
            message.extend_from_slice(name.as_str().as_bytes());
            message.extend_from_slice(b": ");
            message.extend_from_slice(value.as_bytes());
            message.extend_from_slice(b"\r\n");
        }
    }
    if !body.is_empty() || !matches!(*method, Method::GET | Method::HEAD) {
        message.extend_from_slice(b"content-length: ");
        message.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(&body[..together]);
    message
}

#[cfg(test)]
mod tests;
