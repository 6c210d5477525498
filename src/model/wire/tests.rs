use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::*;

/// What a server does with the connection of each request.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Answers and keeps it.
    Keeps,
    /// Answers, then closes it without a word.
    Closes,
    /// Reads the request and closes it.
    Hangs,
    /// Answers half, and closes it.
    Cuts,
    /// Answers as soon as a request begins, and reads no more of it.
    Interrupts,
    /// Answers and keeps it, though it says that it does not.
    Parts,
}

struct Served {
    wire: Wire,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    /// One permit for each connection that the server has closed.
    closed: Arc<Semaphore>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn served(manner: Manner) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (connections, requests): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
    let closed = Arc::new(Semaphore::new(0));
    let counts = (Arc::clone(&connections), Arc::clone(&requests), Arc::clone(&closed));
    let server = tokio::spawn(async move {
        let (connections, requests, closed) = counts;
        let mut open = tokio::task::JoinSet::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::SeqCst);
            let (requests, closed) = (Arc::clone(&requests), Arc::clone(&closed));
            open.spawn(async move {
                let mut buffer = [0_u8; 4096];
                while socket.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    requests.fetch_add(1, Ordering::SeqCst);
                    let whole: &[u8] = match manner {
                        Manner::Parts => {
                            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nfine"
                        }
                        _ => b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine",
                    };
                    let answer = match manner {
                        Manner::Keeps | Manner::Closes | Manner::Parts | Manner::Interrupts => {
                            whole
                        }
                        Manner::Hangs => b"",
                        Manner::Cuts => &whole[..whole.len() - 2],
                    };
                    socket.write_all(answer).await.unwrap();
                    match manner {
                        Manner::Keeps | Manner::Parts => {}
                        // Nobody reads on, and nobody closes.
                        Manner::Interrupts => std::future::pending().await,
                        _ => break,
                    }
                }
                drop(socket);
                closed.add_permits(1);
            });
        }
    });
    let wire = Wire::new(Patient(HttpConnector::new()), to, Duration::from_secs(90));
    Served { wire, connections, requests, closed, server }
}

impl Served {
    async fn ask(&self) -> Result<Bytes, Broken> {
        let request = Request::post("/").header("host", "here").body(Full::from("question"));
        self.wire.send(request.unwrap(), 1_000).await.map(Response::into_body)
    }

    fn seen(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_connection_is_used_again_and_by_one_call_at_a_time() {
    let served = served(Manner::Keeps).await;
    for _ in 0..3 {
        assert_eq!(served.ask().await.ok().unwrap(), "fine");
    }
    assert_eq!(served.seen(), (1, 3));
    let all = futures::future::join_all((0..5).map(|_| served.ask())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(served.seen(), (5, 8));
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_call() {
    let served = served(Manner::Closes).await;
    for call in 1..=3 {
        assert_eq!(served.ask().await.ok().unwrap(), "fine");
        served.closed.acquire().await.unwrap().forget();
        assert_eq!(served.seen(), (call, call));
    }
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_not_sent_again() {
    let served = served(Manner::Hangs).await;
    assert!(matches!(served.ask().await, Err(Broken::Unanswered)));
    assert_eq!(served.seen(), (1, 1));
}

#[tokio::test]
async fn an_answer_that_is_cut_short_or_too_long_is_none() {
    let cut = served(Manner::Cuts).await;
    assert!(matches!(cut.ask().await, Err(Broken::Cut)));
    let long = served(Manner::Keeps).await;
    let request = Request::post("/").header("host", "here").body(Full::from("question")).unwrap();
    assert!(matches!(long.wire.send(request, 3).await, Err(Broken::TooLarge)));
}

#[tokio::test]
async fn nobody_there_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let wire = Wire::new(Patient(HttpConnector::new()), to, Duration::from_secs(90));
    let request = Request::post("/").header("host", "here").body(Full::from("question")).unwrap();
    assert!(matches!(wire.send(request, 1_000).await, Err(Broken::Connect(_))));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_used_for_long_is_not_used_again() {
    let served = served(Manner::Keeps).await;
    served.ask().await.ok().unwrap();
    tokio::time::advance(Duration::from_secs(89)).await;
    served.ask().await.ok().unwrap();
    assert_eq!(served.seen().0, 1);
    tokio::time::advance(Duration::from_secs(91)).await;
    served.ask().await.ok().unwrap();
    assert_eq!(served.seen().0, 2);
}

#[tokio::test]
async fn a_connection_that_is_said_to_end_is_not_used_again() {
    let served = served(Manner::Parts).await;
    for call in 1..=2 {
        assert_eq!(served.ask().await.ok().unwrap(), "fine");
        assert_eq!(served.seen(), (call, call));
    }
}

/// A refusal may come while much of the request has not left; what is left would never be read.
#[tokio::test]
async fn an_answer_to_half_a_request_counts_and_ends_its_connection() {
    let served = served(Manner::Interrupts).await;
    for call in 1..=2 {
        let body = Full::from(vec![b'x'; 32 << 20]);
        let request = Request::post("/").header("host", "here").body(body).unwrap();
        let answer = served.wire.send(request, 1_000).await.ok().unwrap();
        assert_eq!(answer.into_body(), "fine");
        assert_eq!(served.seen(), (call, call));
    }
}

#[test]
fn how_a_body_ends_is_said_once() {
    let said = |request: http::request::Builder, body: &str| {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let message = message(&parts.method, &parts.uri, &parts.headers, body.as_bytes());
        String::from_utf8(message.to_vec()).unwrap()
    };
    let post = Request::post("/v1?x=y").header("content-length", "99").header("a", "b");
    let post = post.header("transfer-encoding", "chunked").header("connection", "close");
    let expected = "POST /v1?x=y HTTP/1.1\r\na: b\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(said(post, "hello"), expected);
    assert_eq!(said(Request::get("/"), ""), "GET / HTTP/1.1\r\n\r\n");
    assert_eq!(said(Request::delete("/"), ""), "DELETE / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
}
