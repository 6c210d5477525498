//! `POST /v1/chat/completions` of the mock server.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::ledger::Ending;
use super::reply;
use super::server::Server;
use crate::event::usage::Usage;
use crate::model::simulated::answer::{self, Said};
use crate::model::simulated::behaviour::Fault;
use crate::model::simulated::mix;
use crate::model::{AnswerSchema, ChatRequest, Message, Role, tokens};

#[derive(Deserialize)]
struct Asked<'a> {
    model: String,
    #[serde(borrow)]
    messages: Vec<Turn<'a>>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    response_format: Option<Format>,
}

#[derive(Deserialize)]
struct Turn<'a> {
    role: String,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Format {
    json_schema: Option<NamedSchema>,
}

#[derive(Deserialize)]
struct NamedSchema {
    name: Option<String>,
    schema: Option<Value>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

/// A ceiling when none is asked.
const MAX_TOKENS: u32 = 4096;

pub(super) async fn post(
    State(server): State<Server>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked: Asked<'_> = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => return reply::error(400, "invalid_request_error", &error.to_string()),
    };
    let streamed = asked.stream.unwrap_or(false);
    let with_usage = asked.stream_options.as_ref().and_then(|o| o.include_usage).unwrap_or(false);
    let request = understood(&asked);
    let prompt = joined(&request.messages);
    let usual = server.behaviour.by_name(&request.model);
    let behaviour = server.script.apply(usual, &request.model, &prompt);
    let line = server.begin("chat", &request.model, prompt, &headers, &body);

    let drawn = behaviour.draw(server.draw(&line));
    if !server.wait(drawn.latency, drawn.fault).await {
        return reply::broken(Fault::Cut, Vec::new(), line);
    }
    let schema = request.schema.as_ref().map(|schema| &schema.schema);
    let said = answer::say(&request.messages, schema, request.max_tokens, &behaviour);
    let counted = tokens::of_chat(&request).input_likely;
    let digest = answer::digest(&request.messages);
    let usage = behaviour.usage(counted, &said, request.max_tokens, mix(digest));
    let whole = Whole { id: line.ordinal(), model: &request.model, said: &said, usage };
    if let Some(fault) = drawn.fault {
        return match (fault, streamed) {
            (Fault::Cut, true) => reply::streamed(whole.events(with_usage), line, false),
            (fault, _) => reply::broken(fault, whole.body(), line),
        };
    }
    line.used(|entry| {
        entry.prompt_tokens = usage.input + usage.cache_read;
        entry.cached_tokens = usage.cache_read;
        entry.completion_tokens = usage.output + usage.reasoning;
        entry.reasoning_tokens = usage.reasoning;
    });
    if streamed {
        return reply::streamed(whole.events(with_usage), line, true);
    }
    let body = whole.body();
    line.end(Ending { status: Some(200), delivered: true });
    reply::json(200, body)
}

fn understood(asked: &Asked<'_>) -> ChatRequest {
    let message = |turn: &Turn<'_>| Message {
        role: match turn.role.as_str() {
            "system" | "developer" => Role::System,
            "assistant" => Role::Assistant,
            _ => Role::User,
        },
        text: turn.content.map(|content| text(content.get())).unwrap_or_default(),
    };
    let schema = asked.response_format.as_ref().and_then(|format| format.json_schema.as_ref());
    let schema = schema.and_then(|named| {
        let name = named.name.clone().unwrap_or_default();
        Some(AnswerSchema { name, schema: named.schema.clone()? }.into())
    });
    let max_tokens = asked.max_completion_tokens.or(asked.max_tokens).unwrap_or(MAX_TOKENS);
    let messages = asked.messages.iter().map(message).collect();
    ChatRequest { model: asked.model.as_str().into(), messages, max_tokens, schema }
}

/// A text, or the texts of a list of parts.
fn text(content: &str) -> String {
    serde_json::from_str::<String>(content).unwrap_or_else(|_| {
        let parts = serde_json::from_str::<Vec<Part>>(content).unwrap_or_default();
        parts.into_iter().filter_map(|part| part.text).collect()
    })
}

fn joined(messages: &[Message]) -> String {
    let mut all =
        String::with_capacity(messages.iter().map(|message| message.text.len() + 1).sum());
    for message in messages {
        if !all.is_empty() {
            all.push('\n');
        }
        all.push_str(&message.text);
    }
    all
}

struct Whole<'a> {
    id: u64,
    model: &'a str,
    said: &'a Said,
    usage: Usage,
}

#[derive(Serialize)]
struct Body<'a> {
    id: String,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    usage: Value,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Answer<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Answer<'a> {
    role: &'static str,
    content: &'a str,
    refusal: Option<()>,
}

impl Whole<'_> {
    fn usage(&self) -> Value {
        let usage = &self.usage;
        json!({
            "prompt_tokens": usage.input + usage.cache_read,
            "completion_tokens": usage.output + usage.reasoning,
            "total_tokens": usage.total(),
            "prompt_tokens_details": { "cached_tokens": usage.cache_read },
            "completion_tokens_details": { "reasoning_tokens": usage.reasoning },
        })
    }

    fn body(&self) -> Vec<u8> {
        let message = Answer { role: "assistant", content: &self.said.text, refusal: None };
        let finish_reason = self.said.finish_reason;
        let body = Body {
            id: format!("chatcmpl-{}", self.id),
            object: "chat.completion",
            created: super::server::now() / 1000,
            model: self.model,
            choices: [Choice { index: 0, message, logprobs: None, finish_reason }],
            usage: self.usage(),
        };
        // Texts and numbers: this can't fail.
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// As server-sent events: the role, the text word by word, why it ended, and the usage when it is asked for.
    fn events(&self, with_usage: bool) -> Vec<Value> {
        let event = |delta: Value, finish: Value| {
            json!({
                "id": format!("chatcmpl-{}", self.id), "object": "chat.completion.chunk", "model": self.model,
                "choices": [ { "index": 0, "delta": delta, "finish_reason": finish } ],
            })
        };
        let mut events = vec![event(json!({ "role": "assistant", "content": "" }), Value::Null)];
        let words = self.said.text.split_inclusive(' ');
        events.extend(words.map(|word| event(json!({ "content": word }), Value::Null)));
        events.push(event(json!({}), json!(self.said.finish_reason)));
        if with_usage {
            let mut last = event(json!({}), Value::Null);
            last["choices"] = json!([]);
            last["usage"] = self.usage();
            events.push(last);
        }
        events
    }
}
