//! Replies of this dialect, read into structs that hold what we use and skip the rest.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::refusal;
use crate::event::usage::Usage;
use crate::model::dialect::Raw;
use crate::model::target::{Answer, Bill};
use crate::model::{ChatReply, ModelError, ModelErrorKind};

#[derive(Deserialize)]
struct Chat<'a> {
    id: Option<String>,
    model: Option<String>,
    choices: Option<Vec<Choice>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Turn>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Turn {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Embeddings<'a> {
    model: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Embedding {
    index: Option<usize>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptTokens>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionTokens>,
}

#[derive(Deserialize)]
struct PromptTokens {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionTokens {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

/// No honest call uses more, and prices times this fit their integer.
const MOST_TOKENS: u64 = u32::MAX as u64;

/// In disjoint parts: here the cached tokens stand inside the prompt's and the reasoning inside the completion's.
fn usage(raw: Option<&RawValue>) -> Bill {
    let Some(tokens) = raw.and_then(|raw| serde_json::from_str::<Tokens>(raw.get()).ok()) else {
        return Bill::Unreported;
    };
    let prompt = tokens.prompt_tokens.min(MOST_TOKENS);
    let completion = tokens.completion_tokens.unwrap_or(0).min(MOST_TOKENS);
    let cached =
        tokens.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0);
    let hidden =
        tokens.completion_tokens_details.and_then(|details| details.reasoning_tokens).unwrap_or(0);
    let (cache_read, reasoning) = (cached.min(prompt), hidden.min(completion));
    Bill::Used(Usage {
        input: prompt - cache_read,
        cache_read,
        cache_write: 0,
        output: completion - reasoning,
        reasoning,
    })
}

fn malformed<T>(what: &str, bill: Bill) -> Answer<T> {
    let error =
        ModelError { kind: ModelErrorKind::Malformed, message: what.to_owned(), retry_after: None };
    Answer::failed(error, bill)
}

fn filtered<T>(bill: Bill) -> Answer<T> {
    let message = "refused the content".to_owned();
    Answer::failed(
        ModelError { kind: ModelErrorKind::ContentFiltered, message, retry_after: None },
        bill,
    )
}

/// See [`Dialect::chat_reply`](crate::model::dialect::Dialect::chat_reply).
pub(super) fn chat(raw: &Raw<'_>) -> Answer<ChatReply> {
    if !(200..300).contains(&raw.status) {
        return refusal::by_status(raw);
    }
    let Ok(body) = serde_json::from_slice::<Chat<'_>>(raw.body) else {
        return malformed("sent something that is no chat reply", Bill::Unknown);
    };
    if let Some(error) = body.error.filter(|error| error.get() != "null") {
        return refusal::by_body(raw, error.get());
    }
    let bill = usage(body.usage);
    let first = body.choices.and_then(|choices| choices.into_iter().next());
    let (turn, finish_reason) = match first {
        Some(Choice { message, finish_reason }) => (message, finish_reason),
        None => (None, None),
    };
    let answer = match turn {
        _ if finish_reason.as_deref() == Some("content_filter") => filtered(bill),
        Some(Turn { content: Some(text), refusal: None }) => {
            let finish_reason = finish_reason.clone().unwrap_or_else(|| "stop".to_owned());
            let reply = ChatReply { text, finish_reason, simulated: false };
            Answer {
                result: Ok(reply),
                bill,
                response_model: None,
                request_id: None,
                finish_reason: None,
            }
        }
        Some(Turn { refusal: Some(_), .. }) => filtered(bill),
        Some(Turn { content: None, .. }) | None => {
            malformed("sent a chat reply without an answer", bill)
        }
    };
    Answer {
        response_model: body.model,
        request_id: raw.headers.get("x-request-id").map(str::to_owned).or(body.id),
        finish_reason,
        ..answer
    }
}

/// See [`Dialect::embed_reply`](crate::model::dialect::Dialect::embed_reply).
pub(super) fn embed(raw: &Raw<'_>, texts: usize) -> Answer<Vec<Vec<f32>>> {
    if !(200..300).contains(&raw.status) {
        return refusal::by_status(raw);
    }
    let Ok(body) = serde_json::from_slice::<Embeddings<'_>>(raw.body) else {
        return malformed("sent something that is no list of embeddings", Bill::Unknown);
    };
    if let Some(error) = body.error.filter(|error| error.get() != "null") {
        return refusal::by_body(raw, error.get());
    }
    let bill = usage(body.usage);
    let data = body.data.and_then(|data| serde_json::from_str::<Vec<Embedding>>(data.get()).ok());
    let answer = match data.and_then(|data| in_order(data, texts)) {
        Some(vectors) => Answer {
            result: Ok(vectors),
            bill,
            response_model: None,
            request_id: None,
            finish_reason: None,
        },
        None => malformed("did not send one vector of one length for each text", bill),
    };
    Answer {
        response_model: body.model,
        request_id: raw.headers.get("x-request-id").map(str::to_owned),
        ..answer
    }
}

/// One vector per text, all of one length and of numbers, in the order of the texts.
fn in_order(data: Vec<Embedding>, texts: usize) -> Option<Vec<Vec<f32>>> {
    let mut vectors = vec![Vec::new(); data.len()];
    for (place, Embedding { index, embedding }) in data.into_iter().enumerate() {
        *vectors.get_mut(index.unwrap_or(place))? = embedding;
    }
    let length = vectors.first().map_or(0, Vec::len);
    let whole = |vector: &Vec<f32>| {
        !vector.is_empty()
            && vector.len() == length
            && vector.iter().all(|number| number.is_finite())
    };
    (vectors.len() == texts && vectors.iter().all(whole)).then_some(vectors)
}
