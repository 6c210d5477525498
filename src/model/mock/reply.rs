//! Bodies of the mock server: whole, broken and streamed.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::ledger::{Ending, Line};
use crate::model::simulated::behaviour::Fault;

/// A whole JSON body.
pub(super) fn json(status: u16, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error in the dialect's form.
pub(super) fn error(status: u16, class: &str, message: &str) -> Response {
    json(status, error_body(class, message).to_string().into_bytes())
}

fn error_body(class: &str, message: &str) -> Value {
    json!({ "error": { "message": message, "type": class, "param": null, "code": class } })
}

/// The broken reply that was asked for; `whole` is what a right one would have been. The line ends with it.
pub(super) fn broken(fault: Fault, whole: Vec<u8>, line: Line) -> Response {
    let status = if let Fault::Status { code, .. } = fault { code } else { 200 };
    line.end(Ending { status: Some(status), delivered: false });
    match fault {
        Fault::Status { code, retry_after } => {
            let class = match code {
                401 | 403 => "invalid_api_key",
                429 => "rate_limit_exceeded",
                400..=499 => "invalid_request_error",
                _ => "server_error",
            };
            let mut response = error(code, class, "as the mock server was told");
            let asked = retry_after
                .and_then(|asked| HeaderValue::from_str(&asked.as_secs_f64().to_string()).ok());
            if let Some(asked) = asked {
                response.headers_mut().insert(header::RETRY_AFTER, asked);
            }
            response
        }
        Fault::Cut | Fault::Hang => cut(whole),
        Fault::Garbage => json(200, b"<html>502 <b>Bad Gateway</b>".to_vec()),
        Fault::ErrorBody => error(200, "server_error", "as the mock server was told"),
        Fault::Huge => huge(),
    }
}

/// Half of the body that its length announces.
fn cut(whole: Vec<u8>) -> Response {
    let length = whole.len();
    let half = Bytes::from(whole).slice(..length / 2);
    let mut response = Response::new(Body::from_stream(
        stream::once(async { Ok(half) }).chain(stream::once(broken_off())),
    ));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// The end of a broken body. Once it lets go, so that what came before it is sent: an error at once would take it along.
async fn broken_off() -> Result<Bytes, std::io::Error> {
    tokio::task::yield_now().await;
    Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
}

/// 50 MB of a text that never ends its JSON.
fn huge() -> Response {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 50_000_000 / PIECE + 1;
    let piece = Bytes::from(vec![b'a'; PIECE]);
    let start = Bytes::from_static(br#"{"choices":[{"message":{"content":""#);
    let pieces = std::iter::once(start).chain(std::iter::repeat_n(piece, PIECES));
    Response::new(Body::from_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>))))
}

/// Server-sent events. The line ends when the last was taken, or undelivered when the caller goes away before;
/// `whole` false breaks the connection after half of them.
pub(super) fn streamed(events: Vec<Value>, line: Line, whole: bool) -> Response {
    let events: Vec<String> =
        events.iter().map(Value::to_string).chain(["[DONE]".to_owned()]).collect();
    let count = if whole { events.len() } else { events.len() / 2 };
    let mut line = Some(line);
    let mut rest = events.into_iter().take(count);
    let chunks = stream::iter(std::iter::from_fn(move || {
        let event = rest.next()?;
        if rest.len() == 0
            && let Some(line) = line.take()
        {
            line.end(Ending { status: Some(200), delivered: whole });
        }
        Some(Ok(Bytes::from(format!("data: {event}\n\n"))))
    }));
    let body = match whole {
        true => Body::from_stream(chunks),
        false => Body::from_stream(chunks.chain(stream::once(broken_off()))),
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}
