//! What an error of this dialect means. Only its words (`code`, `type`, `param`) are passed on: its free text may quote
//! the prompt or the key.

use serde_json::Value;

use crate::base::retry::retry_after;
use crate::model::dialect::Raw;
use crate::model::target::{Answer, Bill};
use crate::model::{ModelError, ModelErrorKind};

/// Longest word that is passed on.
const LONGEST_WORD: usize = 48;
/// An error body longer than this is not looked into.
const LONGEST_BODY: usize = 64 * 1024;

/// What a provider says of an error.
#[derive(Default)]
struct Words {
    code: Option<String>,
    class: Option<String>,
    param: Option<String>,
    /// A status inside the body, which some send under a 200.
    status: Option<u16>,
}

/// The refusal that a reply other than 2xx is.
pub(super) fn by_status<T>(raw: &Raw<'_>) -> Answer<T> {
    let words = match raw.body.len() {
        0..=LONGEST_BODY => {
            serde_json::from_slice(raw.body).map(|body| words(&body)).unwrap_or_default()
        }
        _ => Words::default(),
    };
    let kind = classify(raw.status, &words);
    refused(raw, kind, &format!("answered {}", raw.status), &words)
}

/// The refusal that hides in a 200.
pub(super) fn by_body<T>(raw: &Raw<'_>, error: &str) -> Answer<T> {
    let words = serde_json::from_str(error).map(|error| inner(&error)).unwrap_or_default();
    let kind = match words.status {
        Some(status) if !(200..300).contains(&status) => classify(status, &words),
        _ => by_words(&words).unwrap_or(ModelErrorKind::Overloaded),
    };
    refused(raw, kind, &format!("answered {} with an error in it", raw.status), &words)
}

fn refused<T>(raw: &Raw<'_>, kind: ModelErrorKind, what: &str, words: &Words) -> Answer<T> {
    let mut message = what.to_owned();
    if let Some(word) = words.code.as_ref().or(words.class.as_ref()) {
        message.push_str(&format!(" (`{word}`)"));
    }
    if let Some(param) = &words.param {
        message.push_str(&format!(", because of `{param}`"));
    }
    if (300..400).contains(&raw.status) {
        message.push_str(", a redirect, which is not followed; check `base_url`");
    }
    let ms = raw.headers.get("retry-after-ms").and_then(|ms| ms.trim().parse::<u32>().ok());
    let asked = match ms {
        Some(ms) => retry_after(&format!("{}", f64::from(ms) / 1000.0), raw.now),
        None => raw.headers.get("retry-after").and_then(|text| retry_after(text, raw.now)),
    };
    let retry_after = asked.filter(|_| kind.is_retriable());
    Answer {
        request_id: raw.headers.get("x-request-id").map(str::to_owned),
        ..Answer::failed(ModelError { kind, message, retry_after }, Bill::Nothing)
    }
}

/// `{"error": {…}}`, `{"error": "…"}`, the same in a list, or the words at the top.
fn words(body: &Value) -> Words {
    let body = body.get(0).unwrap_or(body);
    inner(body.get("error").unwrap_or(body))
}

fn inner(error: &Value) -> Words {
    let word = |name: &str| error.get(name).and_then(Value::as_str).and_then(clean);
    let status =
        error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    Words { code: word("code"), class: word("type"), param: word("param"), status }
}

/// A word of the provider's own vocabulary: letters and joints only, so that no key and no prompt passes.
fn clean(word: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '-' | '.');
    let short = !word.is_empty() && word.len() <= LONGEST_WORD;
    (short && word.chars().all(fits)).then(|| word.to_owned())
}

fn classify(status: u16, words: &Words) -> ModelErrorKind {
    match (status, by_words(words)) {
        // Money that has run out is mended by a person, and filtered content is no fault of the request's form.
        (
            400..=499,
            Some(kind @ (ModelErrorKind::Unauthorised | ModelErrorKind::ContentFiltered)),
        ) => kind,
        (401..=403 | 407, _) => ModelErrorKind::Unauthorised,
        (408, _) => ModelErrorKind::Timeout,
        (409 | 425, _) => ModelErrorKind::Overloaded,
        (429, _) => ModelErrorKind::RateLimited,
        (500.., _) => ModelErrorKind::Overloaded,
        _ => ModelErrorKind::InvalidRequest,
    }
}

fn by_words(words: &Words) -> Option<ModelErrorKind> {
    [&words.code, &words.class].into_iter().flatten().find_map(|word| {
        Some(match word.as_str() {
            "content_filter" | "content_policy_violation" | "ResponsibleAIPolicyViolation" => {
                ModelErrorKind::ContentFiltered
            }
            "insufficient_quota"
            | "billing_hard_limit_reached"
            | "invalid_api_key"
            | "authentication_error"
            | "permission_error"
            | "account_deactivated" => ModelErrorKind::Unauthorised,
            "rate_limit_exceeded" | "rate_limit_error" | "tokens" | "requests" => {
                ModelErrorKind::RateLimited
            }
            "invalid_request_error"
            | "context_length_exceeded"
            | "model_not_found"
            | "BadRequestError"
            | "NotFoundError" => ModelErrorKind::InvalidRequest,
            "server_error" | "overloaded_error" | "engine_overloaded" | "InternalServerError" => {
                ModelErrorKind::Overloaded
            }
            "timeout" => ModelErrorKind::Timeout,
            _ => return None,
        })
    })
}
