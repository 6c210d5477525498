//! An HTTP/1.1 answer, read as its bytes come (RFC 9112). Pure: it is given bytes, and says what they are. What is not
//! understood is no answer; nothing is guessed.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::{Response, StatusCode};
use httparse::{EMPTY_HEADER, Status, parse_chunk_size};

use super::connections::Broken;

/// Fields of a head, and of what follows the last chunk.
const MOST_FIELDS: usize = 100;
/// Bytes of a head, of a chunk's line, and of what follows the last chunk.
const LONGEST_HEAD: usize = 64 << 10;
/// Room for an answer of the usual length; a longer one gets more as it comes, at most so much at a time.
const USUAL: usize = 4 << 10;
const MORE: usize = 64 << 10;

/// A whole answer.
pub(super) struct Whole {
    pub(super) response: Response<Bytes>,
    /// Whether the connection can carry another request.
    pub(super) keeps: bool,
}

/// An answer under way.
pub(super) struct Answer {
    /// What has come and is not understood yet.
    pub(super) buffer: BytesMut,
    most: usize,
    /// Whether the request asked for the head alone.
    head_only: bool,
    head: Option<Head>,
}

struct Head {
    response: Response<()>,
    keeps: bool,
    body: Body,
}

/// How the body ends.
enum Body {
    Sized(usize),
    Chunked {
        taken: BytesMut,
        at: Chunk,
    },
    /// With the connection.
    Open,
}

#[derive(Clone, Copy)]
enum Chunk {
    /// At the line with its size.
    Size,
    /// Within it, so many bytes before its end.
    Data(usize),
    /// After the last one.
    Trailers,
}

impl Answer {
    /// To a request; of at most so many bytes.
    pub(super) fn to(head_only: bool, most: usize) -> Self {
        Answer { buffer: BytesMut::new(), most, head_only, head: None }
    }

    /// Makes room for the next bytes.
    pub(super) fn room(&mut self) {
        let come = self.buffer.len();
        let wanted = match self.head.as_ref().map(|head| &head.body) {
            Some(Body::Sized(length)) => length.saturating_sub(come),
            Some(Body::Chunked { taken, .. }) => taken.len().max(USUAL),
            Some(Body::Open) | None => come.max(USUAL),
        };
        self.buffer.reserve(wanted.clamp(1, MORE));
    }

    /// Whether nothing of it has come.
    pub(super) fn is_blank(&self) -> bool {
        self.head.is_none() && self.buffer.is_empty()
    }

    /// The whole answer, once its last byte has come.
    pub(super) fn take(&mut self) -> Result<Option<Whole>, Broken> {
        while self.head.is_none() {
            let Some(head) = head(&mut self.buffer, self.head_only)? else { return Ok(None) };
            // What is announced need not be read to be refused.
            if matches!(head.body, Body::Sized(length) if length > self.most) {
                return Err(Broken::TooLarge);
            }
            // An interim answer precedes the one that counts.
            self.head = (!head.response.status().is_informational()).then_some(head);
        }
        let Some(Head { body, .. }) = &mut self.head else { return Ok(None) };
        let whole = match body {
            Body::Sized(length) => {
                (self.buffer.len() >= *length).then(|| self.buffer.split_to(*length))
            }
            Body::Chunked { taken, at } => {
                chunks(&mut self.buffer, taken, at, self.most)?.then(|| std::mem::take(taken))
            }
            Body::Open if self.buffer.len() > self.most => return Err(Broken::TooLarge),
            Body::Open => None,
        };
        Ok(whole.and_then(|body| self.whole(body.freeze())))
    }

    /// The connection ended.
    pub(super) fn end(mut self) -> Result<Whole, Broken> {
        let open = match &self.head {
            None => return Err(Broken::Unanswered),
            Some(head) => matches!(head.body, Body::Open),
        };
        let rest = std::mem::take(&mut self.buffer).freeze();
        self.whole(rest).filter(|_| open).ok_or(Broken::Cut)
    }

    fn whole(&mut self, body: Bytes) -> Option<Whole> {
        let Head { response, keeps, .. } = self.head.take()?;
        // What nobody asked for belongs to no request.
        let keeps = keeps && self.buffer.is_empty();
        Some(Whole { response: response.map(|()| body), keeps })
    }
}

/// Takes a head out, if it has come whole.
fn head(buffer: &mut BytesMut, head_only: bool) -> Result<Option<Head>, Broken> {
    let mut fields = [EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    let length = match parsed.parse(buffer) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if buffer.len() <= LONGEST_HEAD => return Ok(None),
        Ok(Status::Partial) | Err(_) => return Err(Broken::Unanswered),
    };
    let mut response = Response::new(());
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    *response.status_mut() = status.ok_or(Broken::Unanswered)?;
    let newer = parsed.version == Some(1);
    let headers = response.headers_mut();
    headers.reserve(parsed.headers.len());
    for field in &*parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Broken::Unanswered)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| Broken::Unanswered)?;
        headers.append(name, value);
    }
    let none = head_only || matches!(response.status().as_u16(), 100..=199 | 204 | 304);
    // Another protocol was not asked for.
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Broken::Unanswered);
    }
    let headers = response.headers();
    let (body, certain) = match none {
        true => (Body::Sized(0), true),
        false => body(headers)?,
    };
    let keeps = certain && keeps(headers, newer);
    buffer.advance(length);
    Ok(Some(Head { response, keeps, body }))
}

/// How the body ends, and whether the connection may go on after it.
fn body(headers: &HeaderMap) -> Result<(Body, bool), Broken> {
    let chunked = || Body::Chunked { taken: BytesMut::new(), at: Chunk::Size };
    if let Some(last) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        let coding = last.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
        let is_chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
        // With a length beside it somebody is mistaken.
        let alone = !headers.contains_key(CONTENT_LENGTH);
        return Ok(if is_chunked { (chunked(), alone) } else { (Body::Open, false) });
    }
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let digits = value.as_bytes().trim_ascii();
        let number = match digits.iter().all(u8::is_ascii_digit) {
            true => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()),
            false => None,
        };
        let number: usize = number.ok_or(Broken::Unanswered)?;
        if length.is_some_and(|length| length != number) {
            return Err(Broken::Unanswered);
        }
        length = Some(number);
    }
    Ok(length.map_or((Body::Open, false), |length| (Body::Sized(length), true)))
}

fn keeps(headers: &HeaderMap, newer: bool) -> bool {
    let words = headers.get_all(CONNECTION).into_iter();
    let words = words.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut said = words.map(<[u8]>::trim_ascii);
    match newer {
        true => said.all(|word| !word.eq_ignore_ascii_case(b"close")),
        false => said.any(|word| word.eq_ignore_ascii_case(b"keep-alive")),
    }
}

/// Takes chunks out as far as they have come. Whether the last one has.
fn chunks(
    buffer: &mut BytesMut,
    taken: &mut BytesMut,
    at: &mut Chunk,
    most: usize,
) -> Result<bool, Broken> {
    loop {
        match *at {
            Chunk::Size => {
                let (line, size) = match parse_chunk_size(buffer) {
                    Ok(Status::Complete(found)) => found,
                    Ok(Status::Partial) if buffer.len() <= LONGEST_HEAD => return Ok(false),
                    Ok(Status::Partial) | Err(_) => return Err(Broken::Cut),
                };
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                if size > most.saturating_sub(taken.len()) {
                    return Err(Broken::TooLarge);
                }
                buffer.advance(line);
                *at = if size == 0 { Chunk::Trailers } else { Chunk::Data(size) };
            }
            Chunk::Data(0) => {
                if buffer.len() < 2 {
                    return Ok(false);
                }
                if *buffer.split_to(2) != *b"\r\n" {
                    return Err(Broken::Cut);
                }
                *at = Chunk::Size;
            }
            Chunk::Data(_) if buffer.is_empty() => return Ok(false),
            Chunk::Data(left) => {
                let come = buffer.split_to(left.min(buffer.len()));
                *at = Chunk::Data(left - come.len());
                taken.extend_from_slice(&come);
            }
            Chunk::Trailers => {
                let mut fields = [EMPTY_HEADER; MOST_FIELDS];
                match httparse::parse_headers(buffer, &mut fields) {
                    Ok(Status::Complete((length, _))) => {
                        buffer.advance(length);
                        return Ok(true);
                    }
                    Ok(Status::Partial) if buffer.len() <= LONGEST_HEAD => return Ok(false),
                    Ok(Status::Partial) | Err(_) => return Err(Broken::Cut),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
