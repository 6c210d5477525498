//! `call`: an HTTP service as a stage.
//!
//! ```yaml
//! customer:
//!   call:
//!     url: "http://crm:8080/customers/{{ event.customer_id }}"
//!     method: GET
//!     headers: { accept: application/json }
//! ```
//! The output is `{ status, body }`: the body is JSON when the service says so, else text. Scheme, host and port are
//! literals. `body` is any YAML value with templates, sent as JSON; a text with a `content-type` of its own is sent as
//! it is. Redirects are not followed. A call acts at once, whatever becomes of the event: the service gets the stage's
//! key as `Idempotency-Key`, the same on every attempt.
//!
//! Statuses 200 to 399 are values. 408, 425, 429 and 500 to 599 are tried again, any other is a permanent failure. What
//! the service costs is not known, so its cost event has no amount and is `unpriced`.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use http::header::HeaderName;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::base::nearest::suggestion;
use crate::base::template::{Shape, Template};
use crate::base::yaml::{Spanned, Tree, place};
use crate::model;

use super::desk::{Desk, optional};
use super::fields::{Fields, Templates};
use super::http::{Answer, Outgoing, Service, Target};
use super::{BuildError, Facts, Kind, Reply, Seat, Stage, StageError, StageKind, Wiring};

const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
/// Headers that the engine or the connection sets.
const OURS: [&str; 8] = [
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "te",
    "upgrade",
    "idempotency-key",
    "traceparent",
];

/// Parameters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The address. Its scheme, host and port are literal, the path may have templates.
    pub url: Spanned<String>,
    /// GET, HEAD, POST, PUT, PATCH or DELETE; POST when not written.
    pub method: Option<Spanned<String>>,
    /// Request headers.
    #[serde(default)]
    pub headers: Fields,
    /// Request body.
    pub body: Option<Tree>,
}

impl super::Params for Params {
    fn verb(&self) -> &'static str {
        "call"
    }

    fn check(&self, desk: &mut dyn Desk) -> Option<StageKind> {
        let target = desk.url(&self.url).and_then(|url| self.check_target(url, desk));
        let method = self.check_method(desk);
        let refused = self.headers.0.iter().filter(|(name, _)| !check_header(name, desk)).count();
        let headers = self.headers.check(desk).filter(|_| refused == 0);
        let body = optional(self.body.as_ref().map(|body| desk.shape(body)));
        Some(Arc::new(Call { target: target?, method: method?, headers: headers?, body: body? }))
    }
}

impl Params {
    fn check_target(&self, url: Template, desk: &mut dyn Desk) -> Option<Target> {
        let target = Target::new(url);
        if target.is_none() {
            let message = "the scheme, host and port of `url` can't be read".to_owned();
            let help = "write them out, such as `http://crm:8080/customers/{{ event.id }}`";
            desk.error(place(&self.url), "bad-url", message, Some(help.to_owned()));
        }
        target
    }

    fn check_method(&self, desk: &mut dyn Desk) -> Option<Method> {
        let Some(written) = &self.method else { return Some(Method::POST) };
        let known =
            METHODS.into_iter().find(|known| written.value.eq_ignore_ascii_case(known.as_str()));
        let Some(method) = known else {
            let message = format!("`{}` is not a method of `call`", written.value);
            let help =
                suggestion(&written.value, "methods are", METHODS.iter().map(Method::as_str));
            desk.error(place(written), "unknown-method", message, help);
            return None;
        };
        if self.body.is_some() && matches!(method, Method::GET | Method::HEAD) {
            let message = format!("a {method} has no body");
            let help = "use `method: POST`, or leave `body` out".to_owned();
            desk.error(place(written), "body-not-allowed", message, Some(help));
            return None;
        }
        Some(method)
    }
}

fn check_header(name: &Spanned<String>, desk: &mut dyn Desk) -> bool {
    let lower = name.value.to_ascii_lowercase();
    if OURS.contains(&lower.as_str()) {
        let message = format!("the engine itself sets the header `{}`", name.value);
        desk.error(place(name), "reserved-header", message, None);
        return false;
    }
    if HeaderName::from_bytes(name.value.as_bytes()).is_err() {
        let message = format!("`{}` is not a header name", name.value);
        desk.error(place(name), "invalid-header", message, None);
        return false;
    }
    true
}

#[derive(Clone, Debug)]
struct Call {
    target: Target,
    method: Method,
    headers: Templates,
    body: Option<Shape>,
}

impl Kind for Call {
    fn facts(&self) -> Facts {
        Facts {
            effect: true,
            service: true,
            settings: vec![
                ("url", self.target.source().to_owned()),
                ("method", self.method.to_string()),
            ],
            ..Facts::default()
        }
    }

    fn with_model(&self, _model: Arc<str>) -> Option<StageKind> {
        None
    }

    fn build(&self, _seat: &Seat, wiring: &Wiring) -> Result<Box<dyn Stage>, BuildError> {
        let service = wiring.http.to(&self.target)?;
        Ok(Box::new(Built { kind: self.clone(), service }))
    }
}

struct Built {
    kind: Call,
    service: Service,
}

#[async_trait]
impl Stage for Built {
    async fn run(&self, scope: &minijinja::Value, call: &model::Call) -> Result<Reply, StageError> {
        let kind = &self.kind;
        let mut headers = kind.headers.render(scope)?;
        let body = match &kind.body {
            Some(shape) => Some(encode(shape.render(scope)?, &mut headers)),
            None => None,
        };
        let outgoing = Outgoing {
            url: kind.target.render(scope)?,
            method: kind.method.clone(),
            headers,
            body,
        };
        let digest = outgoing.digest();
        let answer = Box::pin(self.service.send(outgoing, call));
        let answer: Answer = call.journal.once(&call.key, "call", digest, answer).await?;
        Ok(Reply {
            value: json!({ "status": answer.status, "body": answer.body }),
            ..Reply::default()
        })
    }
}

/// JSON, unless the author gives a text a type of its own.
fn encode(body: Value, headers: &mut Vec<(String, String)>) -> Vec<u8> {
    let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !typed {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    match body {
        Value::String(text) if typed => text.into_bytes(),
        body => body.to_string().into_bytes(),
    }
}
