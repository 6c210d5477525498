//! Bounds what is read of a registry's answers: the client library reads whatever comes.

use std::fmt;

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

/// Bytes of one answer: a list of a hundred thousand subjects, or any schema that is used.
pub const MAX_ANSWER: usize = 16 << 20;

/// Stands between the client library and the connection.
pub(super) struct Bounded;

#[derive(Debug)]
struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its answer has more than {MAX_ANSWER} bytes")
    }
}

impl std::error::Error for TooLarge {}

#[async_trait]
impl Middleware for Bounded {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let mut response = next.run(request, extensions).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Error::middleware(TooLarge));
            }
            body.extend_from_slice(&chunk);
        }
        let mut whole = http::Response::new(body);
        *whole.status_mut() = response.status();
        *whole.headers_mut() = response.headers().clone();
        Ok(whole.into())
    }
}
