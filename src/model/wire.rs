//! Connections without TLS, each driven by the call that uses it: no task of its own, so no hop between two tasks for
//! each request and each answer. A connection carries one call at a time and is kept for the next.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service;

use super::connections::{Broken, Patient};

type Socket = TokioIo<TcpStream>;
type Outgoing = Request<Full<Bytes>>;

/// Connections to one place, of one thread.
pub(super) struct Wire {
    connector: Patient<HttpConnector>,
    to: Uri,
    /// How long one that is not used is kept.
    keep: Duration,
    idle: Mutex<VecDeque<Box<Open>>>,
}

/// One connection.
struct Open {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<Socket, Full<Bytes>>,
    ended: bool,
    since: Instant,
}

impl Wire {
    /// To the host and port of an address; opens nothing yet.
    pub fn new(connector: Patient<HttpConnector>, to: Uri, keep: Duration) -> Self {
        Wire { connector, to, keep, idle: Mutex::default() }
    }

    /// Sends it, and reads the whole answer, of at most so many bytes.
    pub async fn send(&self, request: Outgoing, most: usize) -> Result<Response<Bytes>, Broken> {
        let mut request = request;
        // Each connection that was closed meanwhile is one less; a new one is not tried twice.
        loop {
            let kept = self.take();
            let fresh = kept.is_none();
            let mut open = match kept {
                Some(open) => open,
                None => self.connect().await?,
            };
            match open.begin(request).await {
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    // What is announced need not be read to be refused.
                    if body.size_hint().lower() > most as u64 {
                        return Err(Broken::TooLarge);
                    }
                    let body = pin!(Limited::new(body, most).collect());
                    let whole = open.drive(body).await;
                    let body = whole.map_err(|error| match error.is::<LengthLimitError>() {
                        true => Broken::TooLarge,
                        false => Broken::Cut,
                    })?;
                    self.put_back(open);
                    return Ok(Response::from_parts(parts, body.to_bytes()));
                }
                Err(Some(unsent)) if !fresh => request = unsent,
                Err(_) => return Err(Broken::Unanswered),
            }
        }
    }

    /// The one used last, which is the least likely to have been closed.
    fn take(&self) -> Option<Box<Open>> {
        let open = self.idle().pop_back()?;
        (open.since.elapsed() < self.keep).then_some(open)
    }

    fn put_back(&self, mut open: Box<Open>) {
        if open.ended || open.sender.is_closed() {
            return;
        }
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

    fn idle(&self) -> MutexGuard<'_, VecDeque<Box<Open>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Box<Open>, Broken> {
        let mut connector = self.connector.clone();
        let ready = poll_fn(|context| connector.poll_ready(context)).await;
        ready.map_err(Broken::Connect)?;
        let socket = connector.call(self.to.clone()).await.map_err(Broken::Connect)?;
        let made = handshake(socket).await.map_err(|_| Broken::Unanswered)?;
        let (sender, connection) = made;
        Ok(Box::new(Open { sender, connection, ended: false, since: Instant::now() }))
    }
}

impl Open {
    /// Sends a request and waits for the head of its answer. The error has the request, when no byte of it left.
    async fn begin(&mut self, request: Outgoing) -> Result<Response<Incoming>, Option<Outgoing>> {
        let Open { sender, connection, ended, .. } = self;
        if drive(connection, ended, pin!(sender.ready())).await.is_err() {
            return Err(Some(request));
        }
        let answer = drive(connection, ended, pin!(sender.try_send_request(request))).await;
        answer.map_err(|mut error| error.take_message())
    }

    async fn drive<F: Future>(&mut self, work: Pin<&mut F>) -> F::Output {
        drive(&mut self.connection, &mut self.ended, work).await
    }
}

/// Drives the connection as long as what waits for it is not done.
async fn drive<F: Future>(
    connection: &mut Connection<Socket, Full<Bytes>>,
    ended: &mut bool,
    mut work: Pin<&mut F>,
) -> F::Output {
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        if !*ended {
            *ended = Pin::new(&mut *connection).poll(context).is_ready();
        }
        // What the connection has just brought.
        work.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests;
